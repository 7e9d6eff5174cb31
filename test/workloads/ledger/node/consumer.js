// The ledger as a service with amqplib: reconnects, confirms, acknowledges after the work.
'use strict';

const { randomUUID } = require('node:crypto');
const { setTimeout: sleep } = require('node:timers/promises');
const amqplib = require('amqplib');
const { Ballast, Ledger, envelope, parse } = require('./chain');

const HEADER_RESENT = 'ledger-resent';
const TYPE_FENCE = 'fence';
const MIN_BACKOFF = 20;
const MAX_BACKOFF = 500;

class Consumer {
  // pending is the output that the broker has not confirmed. Its message is applied, so a redelivery would be skipped:
  // the next session must publish it first.
  #pending;

  constructor(options) {
    this.options = options;
    this.ballast = new Ballast(options.memory);
    this.ledger = new Ledger(randomUUID(), new Date().toISOString());
  }

  state(withMemory) {
    return { ...this.ledger.state(), memory: withMemory ? this.ballast.memory() : undefined };
  }

  // run consumes for good, through any number of connections.
  async run() {
    for (let backoff = MIN_BACKOFF; ; backoff = Math.min(2 * backoff, MAX_BACKOFF)) {
      try {
        const connection = await amqplib.connect(this.options.broker, { clientProperties: { connection_name: 'ledger' } });
        backoff = MIN_BACKOFF;
        await this.#session(connection);
      } catch (error) {
        console.error(`Session with the broker ended, reconnecting in ${backoff} ms: ${error.message}`);
      }
      await sleep(backoff);
    }
  }

  // session never resolves, and rejects when the connection or its channel has ended and nothing of it is under way.
  async #session(connection) {
    const ended = new Promise((_, reject) => {
      for (const event of ['error', 'close']) {
        connection.on(event, (error) => reject(error ?? new Error('the connection was closed')));
      }
    });
    ended.catch(() => {}); // it may end while nobody waits for it
    let last = Promise.resolve();
    try {
      const channel = await connection.createConfirmChannel();
      const failed = new Promise((_, reject) => {
        for (const event of ['error', 'close']) {
          channel.on(event, (error) => reject(error ?? new Error('the channel was closed')));
        }
        // One message after the other: the client does not wait for a handler before it calls the next.
        const deliver = (delivery) => {
          if (!delivery) return reject(new Error('the broker has cancelled the consumer'));
          last = last.then(() => this.#handle(channel, delivery));
          return last.catch(reject);
        };
        this.#consume(channel, deliver).catch(reject);
      });
      await Promise.race([ended, failed]);
    } finally {
      await last.catch(() => {});
      await connection.close().catch(() => {});
    }
  }

  async #consume(channel, deliver) {
    const { queueIn, queueOut, queueType, prefetch } = this.options;
    for (const queue of [queueIn, queueOut]) {
      await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': queueType } });
    }
    await channel.prefetch(prefetch);
    if (this.#pending) {
      this.#pending.properties.headers = { [HEADER_RESENT]: true };
      await this.#publishPending(channel);
    }
    await channel.consume(queueIn, deliver);
  }

  // handle takes one message to its end: work, apply, output, confirm, acknowledge.
  async #handle(channel, delivery) {
    const { type, messageId, timestamp } = delivery.properties;
    if (type === TYPE_FENCE) {
      await this.#publish(channel, { body: Buffer.alloc(0), properties: { persistent: true, type, messageId } });
    } else {
      await sleep(this.options.service);
      const output = this.#apply(delivery);
      if (output) {
        // The time is the message's, not the clock's: the output is a function of the state alone.
        const id = `${output.producer}/${output.sequence}`;
        const properties = { persistent: true, contentType: 'application/json', messageId: id, timestamp };
        this.#pending = { body: Buffer.from(JSON.stringify(output)), properties };
        await this.#publishPending(channel);
      }
    }
    channel.ack(delivery);
  }

  #apply({ content, fields, properties }) {
    let message;
    try {
      message = parse(content);
    } catch (error) {
      this.ledger.malformed(error);
      return undefined;
    }
    const digest = envelope({
      exchange: fields.exchange, routingKey: fields.routingKey, contentType: properties.contentType ?? '',
      messageId: properties.messageId ?? '', timestamp: properties.timestamp ?? 0, body: content,
    });
    const resent = properties.headers?.[HEADER_RESENT] === true;
    return this.ledger.apply({ ...message, digest, redelivered: fields.redelivered, resent });
  }

  async #publishPending(channel) {
    await this.#publish(channel, this.#pending);
    this.#pending = undefined;
  }

  // publish resolves when the broker has confirmed.
  #publish(channel, { body, properties }) {
    return new Promise((resolve, reject) => {
      channel.sendToQueue(this.options.queueOut, body, properties, (error) => (error ? reject(error) : resolve()));
    });
  }
}

module.exports = { Consumer };
