const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { Mailbox, PATIENCE } = require('./mailbox');
const { body, shown } = require('./content');
const { reasonOf } = require('./reason');
const { table } = require('./values');

// The numbers of methods are not among what the package exports.
const defs = require(path.join(path.dirname(require.resolve('amqplib')), 'lib', 'defs'));

// tagged is what amqplib wants to have of a message to settle it.
const tagged = (s) => ({ fields: { deliveryTag: s.tag } });

// Channel and what it tells.
class Channel {
  static async open(session, connection, step) {
    const { model } = connection;
    return new Channel(session, connection, await (step.confirm ? model.createConfirmChannel() : model.createChannel()));
  }

  constructor(session, connection, model) {
    Object.assign(this, { session, connection, model });
    this.deliveries = new Mailbox();
    this.returns = new Mailbox();
    this.cancelled = new Mailbox();
    this.errors = new Mailbox();
    this.confirms = new Mailbox();
    // confirmed is the highest number that a confirm of several has told.
    this.confirmed = 0;
    model.on('error', (err) => this.errors.put(reasonOf(err)));
    model.on('return', (m) => this.returns.put(m));
    model.on('ack', (f) => this.confirm(f, true));
    model.on('nack', (f) => this.confirm(f, false));
  }

  confirm({ deliveryTag, multiple }, ack) {
    for (let n = multiple ? this.confirmed + 1 : deliveryTag; n <= deliveryTag; n++) this.confirms.put(ack);
    this.confirmed = Math.max(this.confirmed, deliveryTag);
  }

  async do(step) {
    try {
      return await operations[step.op](this, step);
    } catch (err) {
      // When the connection has ended, amqplib tells the operation that, and the reason elsewhere.
      if (err.code === undefined && err.message.includes('Channel ended')) {
        const reason = await this.connection.errors.take();
        this.connection.errors.put(reason);
        err.reason = reason;
      }
      throw err;
    }
  }

  async declareQueue(s) {
    const declared = s.passive
      ? await this.model.checkQueue(s.queue)
      : await this.model.assertQueue(s.queue, {
          durable: !s.transient, exclusive: s.exclusive, autoDelete: s.autoDelete, arguments: table(s.arguments ?? {}),
        });
    this.session.queue = declared.queue;
    return { queue: declared.queue, messages: declared.messageCount, consumers: declared.consumerCount };
  }

  async declareExchange(s) {
    if (s.passive) {
      await this.model.checkExchange(s.exchange);
      return;
    }
    await this.model.assertExchange(s.exchange, s.type, {
      durable: !s.transient, autoDelete: s.autoDelete, internal: s.internal, arguments: table(s.arguments ?? {}),
    });
  }

  publish(s) {
    const { headers, ...properties } = s.properties ?? {};
    this.model.publish(s.exchange ?? '', s.key, body(s), {
      ...properties, headers: table(headers ?? {}), mandatory: s.mandatory,
    });
  }

  async consume(s) {
    const deliver = (m) => (m === null ? this.cancelled.put(s.tag) : this.deliveries.put(m));
    await this.model.consume(s.queue, deliver, {
      consumerTag: s.tag, noAck: s.noAck, exclusive: s.exclusive, arguments: table(s.arguments ?? {}),
    });
    return { tag: s.tag ?? '' };
  }

  async get(s) {
    const m = await this.model.get(s.queue, { noAck: s.noAck });
    return m ? { remaining: m.fields.messageCount, ...this.message(m) } : { empty: true };
  }

  message(m) {
    this.session.reply = m.properties.replyTo ?? '';
    const { deliveryTag, redelivered, exchange, routingKey } = m.fields;
    return { tag: deliveryTag, redelivered, exchange, key: routingKey, ...shown(m) };
  }

  async awaitDelivery(s) {
    const m = await this.deliveries.take((d) => [undefined, d.fields.consumerTag].includes(s.consumer));
    return { consumer: m.fields.consumerTag, ...this.message(m) };
  }

  async awaitReturn() {
    const m = await this.returns.take();
    const { replyCode, replyText, exchange, routingKey } = m.fields;
    return { code: replyCode, text: replyText, exchange, key: routingKey, ...shown(m) };
  }

  async awaitConfirms(s) {
    const counts = { acked: 0, nacked: 0 };
    for (let n = 0; n < s.count; n++) counts[(await this.confirms.take()) ? 'acked' : 'nacked']++;
    return counts;
  }

  // awaitQueue waits until a queue has so many messages ready and so many consumers.
  async awaitQueue(s) {
    for (const begin = Date.now(); ; await sleep(10)) {
      const { messageCount, consumerCount } = await this.model.checkQueue(s.queue);
      if (messageCount === s.ready && consumerCount === s.consumers) return;
      if (Date.now() - begin > PATIENCE) throw new Error(`${messageCount} messages ready, ${consumerCount} consumers`);
    }
  }
}

// discard the broker's answer, which carries nothing.
const discard = async (answer) => {
  await answer;
};

const operations = {
  'channel.close': (ch) => ch.model.close(),
  'queue.declare': (ch, s) => ch.declareQueue(s),
  'queue.bind': (ch, s) => discard(ch.model.bindQueue(s.queue, s.exchange, s.key, table(s.arguments ?? {}))),
  'queue.unbind': (ch, s) => discard(ch.model.unbindQueue(s.queue, s.exchange, s.key, table(s.arguments ?? {}))),
  'queue.purge': async (ch, s) => ({ messages: (await ch.model.purgeQueue(s.queue)).messageCount }),
  'queue.delete': async (ch, s) => ({ messages: (await ch.model.deleteQueue(s.queue, s)).messageCount }),
  'exchange.declare': (ch, s) => ch.declareExchange(s),
  'exchange.bind': (ch, s) => discard(ch.model.bindExchange(s.destination, s.source, s.key)),
  'exchange.unbind': (ch, s) => discard(ch.model.unbindExchange(s.destination, s.source, s.key)),
  'exchange.delete': (ch, s) => discard(ch.model.deleteExchange(s.exchange, s)),
  qos: (ch, s) => discard(ch.model.prefetch(s.count, s.global)),
  publish: (ch, s) => ch.publish(s),
  // amqplib has channels that are in confirm mode from the beginning, and no transactions; its rpc does the rest.
  'confirm.select': (ch) => discard(ch.model.rpc(defs.ConfirmSelect, { nowait: false }, defs.ConfirmSelectOk)),
  'tx.select': (ch) => discard(ch.model.rpc(defs.TxSelect, {}, defs.TxSelectOk)),
  'tx.commit': (ch) => discard(ch.model.rpc(defs.TxCommit, {}, defs.TxCommitOk)),
  'tx.rollback': (ch) => discard(ch.model.rpc(defs.TxRollback, {}, defs.TxRollbackOk)),
  consume: (ch, s) => ch.consume(s),
  cancel: (ch, s) => ch.model.cancel(s.tag),
  get: (ch, s) => ch.get(s),
  ack: (ch, s) => ch.model.ack(tagged(s), s.multiple),
  nack: (ch, s) => ch.model.nack(tagged(s), s.multiple, s.requeue ?? false),
  reject: (ch, s) => ch.model.reject(tagged(s), s.requeue ?? false),
  recover: (ch) => discard(ch.model.recover()),
  'await delivery': (ch, s) => ch.awaitDelivery(s),
  'await return': (ch) => ch.awaitReturn(),
  'await confirms': (ch, s) => ch.awaitConfirms(s),
  'await cancelled': async (ch) => ({ consumer: await ch.cancelled.take() }),
  'await closed': (ch) => ch.errors.take(),
  'await queue': (ch, s) => ch.awaitQueue(s),
};

module.exports = { Channel };
