"""python3 ledger.py consume: the ledger in Python, with the flags and HTTP answers of `ledger consume`."""

import argparse
import http.server
import json
import logging
import os
import re
import signal
import threading
import urllib.parse

import consumer


def duration(text):
    """Seconds of "5ms" or "1.5s"."""
    match = re.fullmatch(r"([0-9.]+)(ms|s)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 5ms or 1.5s")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def flags():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["consume"])
    parser.add_argument("--broker", default=os.environ.get("BROKER"))
    parser.add_argument("--in", dest="queue_in", default="ledger.in")
    parser.add_argument("--out", dest="queue_out", default="ledger.out")
    parser.add_argument("--queue-type", choices=["classic", "quorum"], default="classic")
    parser.add_argument("--prefetch", type=int, default=20)
    parser.add_argument("--service", type=duration, default="5ms")
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--listen", type=address, default=":8080")
    options = parser.parse_args()
    if not options.broker:
        parser.error("no broker: give --broker or set BROKER to an AMQP URI")
    return options


def handler(service):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            url = urllib.parse.urlparse(self.path)
            if url.path == "/state":
                with_memory = urllib.parse.parse_qs(url.query).get("memory") == ["true"]
                self.answer(200, "application/json", json.dumps(service.state(with_memory)))
            elif url.path == "/healthz":
                self.answer(200, "text/plain", "ok\n")
            else:
                self.answer(404, "text/plain", "not found\n")

        def answer(self, status, content_type, text):
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    return Handler


def main():
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    # At once and with success: what is not acknowledged stays in the queue.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    options = flags()
    service = consumer.Consumer(options)
    server = http.server.ThreadingHTTPServer(options.listen, handler(service))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    service.run()


if __name__ == "__main__":
    main()
