"""The ledger's state machine, its digests and its ballast; the README one folder up says what they are."""

import hashlib
import json

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

MEBIBYTE = 1 << 20
MAX_DETAILS = 50


def link(chain, entry):
    """The chain grown by one entry."""
    return hashlib.sha256(chain + entry).digest()


def envelope(exchange, routing_key, content_type, message_id, timestamp, body):
    """The digest of all of a message that must arrive unaltered."""
    digest = hashlib.sha256()
    for field in (exchange.encode(), routing_key.encode(), content_type.encode(), message_id.encode(), body):
        digest.update(len(field).to_bytes(8, "big") + field)
    digest.update(timestamp.to_bytes(8, "big", signed=True))
    return digest.digest()


def parse(body):
    """Producer and sequence of a message; ValueError when it is none."""
    message = json.loads(body)
    if not isinstance(message, dict):
        raise ValueError("no object")
    producer, sequence = message.get("producer"), message.get("sequence")
    if not isinstance(producer, str) or not producer or type(sequence) is not int or sequence < 1:
        raise ValueError(f"no producer or sequence in {body!r}")
    return producer, sequence


class Ballast:
    """Memory that the ledger only holds."""

    def __init__(self, mebibytes):
        key = hashlib.sha256(b"ledger ballast").digest()
        keystream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        self.pages = [keystream.update(bytes(MEBIBYTE)) for _ in range(mebibytes)]

    def memory(self):
        digest = hashlib.sha256()
        for page in self.pages:
            digest.update(page)
        return {"mebibytes": len(self.pages), "checksum": digest.hexdigest()}


class Progress:
    """Of one producer's messages through the ledger."""

    def __init__(self):
        self.count, self.last, self.chain = 0, 0, bytes(32)
        # Sequences below last that were never applied, as (from, to).
        self.missing = []

    def fill(self, sequence):
        """Take a sequence out of what is missing; false when it is not."""
        for i, (first, last) in enumerate(self.missing):
            if first <= sequence <= last:
                rest = [(first, sequence - 1), (sequence + 1, last)]
                self.missing[i : i + 1] = [r for r in rest if r[0] <= r[1]]
                return True
        return False

    def state(self):
        missing = [{"from": first, "to": last} for first, last in self.missing]
        return {"count": self.count, "last": self.last, "chain": self.chain.hex(), "missing": missing}


class Ledger:
    """The deterministic state machine. Not safe for concurrent use."""

    def __init__(self, instance, started):
        self.instance, self.started = instance, started
        self.count, self.chain, self.producers = 0, bytes(32), {}
        self.redelivered_skipped = self.resent_skipped = 0
        self.violations = {"duplicates": 0, "gaps": 0, "reorders": 0, "malformed": 0, "details": []}

    def apply(self, producer, sequence, digest, redelivered, resent):
        """Apply a message and return its output, or None when it is an excused duplicate."""
        p = self.producers.setdefault(producer, Progress())
        identity = f"{producer}/{sequence}"
        if sequence > p.last + 1:
            self.violate("gaps", f"gap: {identity} came after {producer}/{p.last}")
            p.missing.append((p.last + 1, sequence - 1))
        elif sequence == p.last + 1:
            pass
        elif p.fill(sequence):
            self.violate("reorders", f"reorder: {identity} came after {producer}/{p.last}")
        elif redelivered:
            self.redelivered_skipped += 1
            return None
        elif resent:
            self.resent_skipped += 1
            return None
        else:
            self.violate("duplicates", f"duplicate: {identity} came again after {producer}/{p.last}, "
                                       "not flagged as redelivered")
        p.count, p.last, p.chain = p.count + 1, max(p.last, sequence), link(p.chain, digest)
        self.count, self.chain = self.count + 1, link(self.chain, digest)
        return {"producer": producer, "sequence": sequence,
                "count": self.count, "chain": self.chain.hex(), "instance": self.instance}

    def malformed(self, error):
        self.violate("malformed", f"malformed: {error}")

    def violate(self, counter, detail):
        self.violations[counter] += 1
        if len(self.violations["details"]) < MAX_DETAILS:
            self.violations["details"].append(detail)

    def state(self):
        return {
            "instance": self.instance, "started": self.started,
            "count": self.count, "chain": self.chain.hex(),
            "producers": {name: p.state() for name, p in self.producers.items()},
            "redeliveredSkipped": self.redelivered_skipped, "resentSkipped": self.resent_skipped,
            "violations": {**self.violations, "details": list(self.violations["details"])},
        }
