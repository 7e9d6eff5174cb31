// node ledger.js consume: the ledger in Node, with the flags and HTTP answers of `ledger consume`.
'use strict';

const http = require('node:http');
const { parseArgs } = require('node:util');
const { Consumer } = require('./consumer');

// milliseconds of "5ms" or "1.5s".
function milliseconds(text) {
  const duration = /^([0-9.]+)(ms|s)$/.exec(text);
  if (!duration) throw new Error(`--service ${text} is no duration such as 5ms or 1.5s`);
  return Number(duration[1]) * (duration[2] === 'ms' ? 1 : 1000);
}

function options() {
  const text = (value) => ({ type: 'string', default: value });
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      broker: text(process.env.BROKER), in: text('ledger.in'), out: text('ledger.out'), 'queue-type': text('classic'),
      prefetch: text('20'), service: text('5ms'), memory: text('0'), listen: text(':8080'),
    },
  });
  if (positionals.join() !== 'consume') throw new Error('the only command is consume');
  if (!values.broker) throw new Error('no broker: give --broker or set BROKER to an AMQP URI');
  const [, host, port] = /^(.*):([0-9]+)$/.exec(values.listen) ?? [];
  if (!port) throw new Error(`--listen ${values.listen} is no address such as :8080`);
  return {
    broker: values.broker, queueIn: values.in, queueOut: values.out, queueType: values['queue-type'],
    prefetch: Number(values.prefetch), service: milliseconds(values.service), memory: Number(values.memory),
    host: host || undefined, port: Number(port),
  };
}

function serve(consumer, { host, port }) {
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, 'http://ledger');
    const answer = (status, type, body) => {
      response.writeHead(status, { 'Content-Type': type, Connection: 'close' }).end(body);
    };
    if (url.pathname === '/state') {
      answer(200, 'application/json', JSON.stringify(consumer.state(url.searchParams.get('memory') === 'true')));
    } else if (url.pathname === '/healthz') {
      answer(200, 'text/plain', 'ok\n');
    } else {
      answer(404, 'text/plain', 'not found\n');
    }
  });
  server.listen(port, host);
}

function main() {
  let given;
  try {
    given = options();
  } catch (error) {
    console.error(`ledger: checking flags: ${error.message}`);
    process.exit(1);
  }
  // At once and with success: what is not acknowledged stays in the queue.
  process.on('SIGTERM', () => process.exit(0));
  const consumer = new Consumer(given);
  serve(consumer, given);
  consumer.run();
}

main();
