"""Carries out cases with pika; see ../README.md."""

import json
import sys

from session import Session


def tell(message):
    print(json.dumps(message), flush=True)


def ask(what):
    tell({"ask": what})
    sys.stdin.readline()


def main():
    job = json.loads(sys.stdin.readline())
    for number, steps in enumerate(job["cases"]):
        session = Session(job["uri"], ask)
        results = session.carry_out(steps)
        session.end()
        tell({"case": number, "results": results})


main()
