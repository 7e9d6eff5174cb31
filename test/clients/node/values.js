// Properties and tables as cases write them, and as amqplib does.
//
// What JSON cannot say is an object with one key: !bytes, !time or !decimal.
const PROPERTIES = [
  'contentType', 'contentEncoding', 'headers', 'deliveryMode', 'priority', 'correlationId', 'replyTo', 'expiration',
  'messageId', 'timestamp', 'type', 'userId', 'appId',
];

// described are amqplib's properties for a result.
function described(properties) {
  const found = {};
  for (const name of PROPERTIES) {
    const value = properties[name];
    if (value === undefined || value === '') continue;
    if (name === 'headers' && Object.keys(value).length === 0) continue;
    found[name] = neutral(value);
  }
  return found;
}

function mapped(object, each) {
  return Object.fromEntries(Object.entries(object).map(([k, v]) => [k, each(v)]));
}

function table(value) {
  if (Array.isArray(value)) return value.map(table);
  if (value === null || typeof value !== 'object') return value;
  if ('!bytes' in value) return Buffer.from(value['!bytes'], 'base64');
  if ('!time' in value) return { '!': 'timestamp', value: value['!time'] };
  if ('!decimal' in value) return { '!': 'decimal', value: { digits: value['!decimal'][0], places: value['!decimal'][1] } };
  return mapped(value, table);
}

function neutral(value) {
  if (Array.isArray(value)) return value.map(neutral);
  if (value === null || typeof value !== 'object') return value;
  if (Buffer.isBuffer(value)) return { '!bytes': value.toString('base64') };
  if (value['!'] === 'timestamp') return { '!time': value.value };
  if (value['!'] === 'decimal') return { '!decimal': [value.value.digits, value.value.places] };
  return mapped(value, neutral);
}

module.exports = { described, neutral, table };
