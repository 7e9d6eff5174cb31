const { createHash } = require('node:crypto');
const { described } = require('./values');

const pattern = Buffer.from(Array.from({ length: 251 }, (_, i) => i));

// body is given, or of a size, byte i being i modulo 251.
function body(s) {
  return s.size === undefined ? Buffer.from(s.body) : Buffer.alloc(s.size, pattern);
}

// shown of a message: its content, whole when it is short, and its properties.
function shown({ content, properties }) {
  const short = content.length <= 64;
  return {
    size: content.length,
    properties: described(properties),
    ...(short ? { body: content.toString() } : { sha256: createHash('sha256').update(content).digest('hex') }),
  };
}

module.exports = { body, shown };
