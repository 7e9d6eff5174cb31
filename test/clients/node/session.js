const { setTimeout: sleep } = require('node:timers/promises');
const amqp = require('amqplib');
const { Channel } = require('./channel');
const { Mailbox } = require('./mailbox');
const { reasonOf } = require('./reason');
const { neutral } = require('./values');

// Connection and what it tells.
class Connection {
  constructor(model) {
    this.model = model;
    this.errors = new Mailbox();
    this.blocked = new Mailbox();
    this.open = true;
    model.on('error', (err) => this.errors.put(reasonOf(err)));
    model.on('close', () => {
      this.open = false;
    });
    model.on('blocked', (reason) => this.blocked.put({ active: true, reason }));
    model.on('unblocked', () => this.blocked.put({ active: false }));
  }

  describe() {
    const { frameMax, channelMax, heartbeat, serverProperties } = this.model.connection;
    const server = neutral(serverProperties);
    return { product: server.product, server, frameMax, channelMax, heartbeat };
  }

  async awaitBlocked(active) {
    const { reason } = await this.blocked.take((b) => b.active === active);
    return { reason };
  }
}

// Session of a case: connections and channels by the names that it gives them, each one "main" from the beginning.
class Session {
  constructor(uri, ask) {
    this.uri = new URL(uri);
    this.ask = ask;
    this.connections = {};
    this.channels = {};
    // The queue declared last, and replyTo of the last message.
    this.queue = '';
    this.reply = '';
  }

  // carryOut steps until one fails that should not.
  async carryOut(steps) {
    const results = [];
    const first = [
      { op: 'connection.open', hidden: true },
      { op: 'channel.open', hidden: true },
    ];
    for (const step of first.concat(steps)) {
      try {
        const result = await this.do(step);
        if (!step.hidden) results.push(result ?? {});
      } catch (err) {
        results.push({ fails: true, ...reasonOf(err) });
        if (!step.fails) break;
      }
    }
    return results;
  }

  async do(given) {
    const dynamic = { '@queue': this.queue, '@reply': this.reply };
    const step = Object.fromEntries(Object.entries(given).map(([k, v]) => [k, dynamic[v] ?? v]));
    const name = step.connection ?? 'main';
    switch (step.op) {
      case 'connection.open':
        return this.connect(step);
      case 'connection.close':
        return this.connections[name].model.close();
      case 'channel.open':
        this.channels[step.channel ?? 'main'] = await Channel.open(this, this.connections[name], step);
        return {};
      case 'ask alarm':
      case 'ask relief':
        return this.ask(step.op.split(' ')[1]);
      case 'await time':
        return sleep(step.seconds * 1000);
      case 'await disconnected':
        return this.connections[name].errors.take();
      case 'await blocked':
      case 'await unblocked':
        return this.connections[name].awaitBlocked(step.op === 'await blocked');
      default:
        return this.channels[step.channel ?? 'main'].do(step);
    }
  }

  async connect(step) {
    const model = await amqp.connect({
      hostname: this.uri.hostname,
      port: this.uri.port,
      username: step.user ?? decodeURIComponent(this.uri.username),
      password: step.password ?? decodeURIComponent(this.uri.password),
      vhost: step.vhost ?? '/',
      heartbeat: step.heartbeat,
    });
    const connection = new Connection(model);
    this.connections[step.connection ?? 'main'] = connection;
    return connection.describe();
  }

  async end() {
    for (const connection of Object.values(this.connections)) {
      if (connection.open) await connection.model.close();
    }
  }
}

module.exports = { Session };
