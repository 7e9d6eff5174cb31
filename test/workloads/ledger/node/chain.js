// The ledger's state machine, its digests and its ballast; the README one folder up says what they are.
'use strict';

const { createCipheriv, createHash } = require('node:crypto');

const MEBIBYTE = 1 << 20;
const MAX_DETAILS = 50;
const ZERO = Buffer.alloc(32);

// link is the chain grown by one entry.
const link = (chain, entry) => createHash('sha256').update(chain).update(entry).digest();

const number = (n) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(n));
  return bytes;
};

// envelope is the digest of all of a message that must arrive unaltered.
function envelope({ exchange, routingKey, contentType, messageId, timestamp, body }) {
  const digest = createHash('sha256');
  for (const field of [exchange, routingKey, contentType, messageId, body]) {
    const bytes = Buffer.from(field);
    digest.update(number(bytes.length)).update(bytes);
  }
  return digest.update(number(timestamp)).digest();
}

// parse returns producer and sequence of a message, and throws when it is none.
function parse(body) {
  const message = JSON.parse(body.toString());
  const { producer, sequence } = message ?? {};
  if (typeof producer !== 'string' || producer === '' || !Number.isSafeInteger(sequence) || sequence < 1) {
    throw new Error(`no producer or sequence in ${body}`);
  }
  return { producer, sequence };
}

// Ballast is memory that the ledger only holds.
class Ballast {
  constructor(mebibytes) {
    const key = createHash('sha256').update('ledger ballast').digest();
    const keystream = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
    const zeros = Buffer.alloc(MEBIBYTE);
    this.pages = Array.from({ length: mebibytes }, () => keystream.update(zeros));
  }

  memory() {
    const digest = createHash('sha256');
    for (const page of this.pages) digest.update(page);
    return { mebibytes: this.pages.length, checksum: digest.digest('hex') };
  }
}

// Progress of one producer's messages through the ledger.
class Progress {
  count = 0;
  last = 0;
  chain = ZERO;
  // missing are the sequences below last that were never applied.
  missing = [];

  // fill takes a sequence out of what is missing, and returns false when it is not.
  fill(sequence) {
    const i = this.missing.findIndex(({ from, to }) => from <= sequence && sequence <= to);
    if (i < 0) return false;
    const { from, to } = this.missing[i];
    const rest = [{ from, to: sequence - 1 }, { from: sequence + 1, to }];
    this.missing.splice(i, 1, ...rest.filter((r) => r.from <= r.to));
    return true;
  }
}

// Ledger is the deterministic state machine.
class Ledger {
  count = 0;
  chain = ZERO;
  producers = {};
  redeliveredSkipped = 0;
  resentSkipped = 0;
  violations = { duplicates: 0, gaps: 0, reorders: 0, malformed: 0, details: [] };

  constructor(instance, started) {
    this.instance = instance;
    this.started = started;
  }

  // apply applies a message and returns its output, or undefined when it is an excused duplicate.
  apply({ producer, sequence, digest, redelivered, resent }) {
    const p = (this.producers[producer] ??= new Progress());
    if (sequence > p.last + 1) {
      this.violate('gaps', `gap: ${producer}/${sequence} came after ${producer}/${p.last}`);
      p.missing.push({ from: p.last + 1, to: sequence - 1 });
    } else if (sequence <= p.last && p.fill(sequence)) {
      this.violate('reorders', `reorder: ${producer}/${sequence} came after ${producer}/${p.last}`);
    } else if (sequence <= p.last && redelivered) {
      this.redeliveredSkipped++;
      return undefined;
    } else if (sequence <= p.last && resent) {
      this.resentSkipped++;
      return undefined;
    } else if (sequence <= p.last) {
      this.violate('duplicates',
        `duplicate: ${producer}/${sequence} came again after ${producer}/${p.last}, not flagged as redelivered`);
    }
    p.count++;
    p.last = Math.max(p.last, sequence);
    p.chain = link(p.chain, digest);
    this.count++;
    this.chain = link(this.chain, digest);
    return { producer, sequence, count: this.count, chain: this.chain.toString('hex'), instance: this.instance };
  }

  malformed(error) {
    this.violate('malformed', `malformed: ${error.message}`);
  }

  violate(counter, detail) {
    this.violations[counter]++;
    if (this.violations.details.length < MAX_DETAILS) this.violations.details.push(detail);
  }

  state() {
    const producers = Object.entries(this.producers).map(([name, p]) => [name, { ...p, chain: p.chain.toString('hex') }]);
    return { ...this, chain: this.chain.toString('hex'), producers: Object.fromEntries(producers) };
  }
}

module.exports = { Ballast, Ledger, envelope, parse };
