"""What a case does on a channel."""

import hashlib
import time

from pika import BasicProperties, exceptions

from values import described, table, written
from waiting import PATIENCE, wait


class Channel:
    def __init__(self, session, connection):
        self.session, self.connection = session, connection
        self.pika = connection.pika.channel()
        self.deliveries, self.returns, self.cancelled, self.closed = [], [], [], []
        self.confirming = False
        self.acked = self.nacked = 0
        self.pika._impl.add_on_close_callback(lambda _, reason: self.closed.append(reason))
        self.pika.add_on_return_callback(lambda _, *message: self.returns.append(message))
        self.pika.add_on_cancel_callback(lambda frame: self.cancelled.append(frame.method.consumer_tag))

    def do(self, op, step):
        return ON_CHANNEL[op](self, step)

    def declare_queue(self, s):
        declared = self.pika.queue_declare(
            s["queue"], passive=s.get("passive", False), durable=not s.get("transient"),
            exclusive=s.get("exclusive", False), auto_delete=s.get("autoDelete", False), arguments=arguments(s)).method
        self.session.queue = declared.queue
        return {"queue": declared.queue, "messages": declared.message_count, "consumers": declared.consumer_count}

    def declare_exchange(self, s):
        self.pika.exchange_declare(
            s["exchange"], s.get("type", "direct"), passive=s.get("passive", False), durable=not s.get("transient"),
            auto_delete=s.get("autoDelete", False), internal=s.get("internal", False), arguments=arguments(s))

    def delete_queue(self, s):
        deleted = self.pika.queue_delete(s["queue"], if_unused=s.get("ifUnused", False), if_empty=s.get("ifEmpty", False))
        return {"messages": deleted.method.message_count}

    def select_confirms(self, s):
        self.pika.confirm_delivery()
        self.confirming = True

    def publish(self, s):
        """With confirms pika waits for each; what is returned comes to the callback, too."""
        properties = BasicProperties(**written(s.get("properties", {})))
        try:
            self.pika.basic_publish(s.get("exchange", ""), s["key"], body(s), properties, s.get("mandatory", False))
        except exceptions.NackError:
            self.nacked += 1
            return
        except exceptions.UnroutableError:
            pass
        self.acked += self.confirming

    def await_confirms(self, s):
        wait(self.connection, lambda: self.acked + self.nacked >= s["count"])
        counts = {"acked": self.acked, "nacked": self.nacked}
        self.acked = self.nacked = 0
        return counts

    def await_return(self, s):
        wait(self.connection, lambda: self.returns)
        method, properties, content = self.returns.pop(0)
        return {"code": method.reply_code, "text": method.reply_text, "exchange": method.exchange,
                "key": method.routing_key, **shown(properties, content)}

    def consume(self, s):
        self.pika.basic_consume(
            s["queue"], lambda _, *message: self.deliveries.append(message), auto_ack=s.get("noAck", False),
            exclusive=s.get("exclusive", False), consumer_tag=s.get("tag"), arguments=arguments(s))
        return {"tag": s.get("tag", "")}

    def await_delivery(self, s):
        def matching():
            return next((m for m in self.deliveries if s.get("consumer", m[0].consumer_tag) == m[0].consumer_tag), None)
        message = wait(self.connection, matching)
        self.deliveries.remove(message)
        return {"consumer": message[0].consumer_tag, **self.message(*message)}

    def get(self, s):
        message = self.pika.basic_get(s["queue"], auto_ack=s.get("noAck", False))
        if message[0] is None:
            return {"empty": True}
        return {"remaining": message[0].message_count, **self.message(*message)}

    def message(self, method, properties, content):
        self.session.reply = properties.reply_to
        return {"tag": method.delivery_tag, "redelivered": method.redelivered, "exchange": method.exchange,
                "key": method.routing_key, **shown(properties, content)}

    def await_closed(self, s):
        reason = wait(self.connection, lambda: self.closed and self.closed[0])
        return {"code": reason.reply_code, "text": reason.reply_text}

    def await_cancelled(self, s):
        wait(self.connection, lambda: self.cancelled)
        return {"consumer": self.cancelled.pop(0)}

    def await_queue(self, s):
        """Waits until a queue has so many messages ready and so many consumers."""
        end = time.monotonic() + PATIENCE
        while True:
            queue = self.pika.queue_declare(s["queue"], passive=True).method
            if (queue.message_count, queue.consumer_count) == (s["ready"], s["consumers"]):
                return {}
            if time.monotonic() > end:
                raise TimeoutError(f"{queue.message_count} messages ready, {queue.consumer_count} consumers")
            self.connection.pump(0.01)


def arguments(s):
    return table(s.get("arguments", {})) or None


def body(s):
    """The body is given, or of a size, byte i being i modulo 251."""
    if "size" not in s:
        return s["body"].encode()
    return (bytes(range(251)) * (s["size"] // 251 + 1))[:s["size"]]


def shown(properties, content):
    """A message's content, whole when it is short."""
    r = {"size": len(content), "properties": described(properties)}
    if len(content) <= 64:
        return {**r, "body": content.decode(errors="replace")}
    return {**r, "sha256": hashlib.sha256(content).hexdigest()}


def binding(s):
    return {"routing_key": s["key"], "arguments": arguments(s)}


ON_CHANNEL = {
    "channel.close": lambda ch, s: ch.pika.close(),
    "queue.declare": Channel.declare_queue,
    "queue.bind": lambda ch, s: discard(ch.pika.queue_bind(s["queue"], s["exchange"], **binding(s))),
    "queue.unbind": lambda ch, s: discard(ch.pika.queue_unbind(s["queue"], s["exchange"], **binding(s))),
    "queue.purge": lambda ch, s: {"messages": ch.pika.queue_purge(s["queue"]).method.message_count},
    "queue.delete": Channel.delete_queue,
    "exchange.declare": Channel.declare_exchange,
    "exchange.bind": lambda ch, s: discard(ch.pika.exchange_bind(s["destination"], s["source"], **binding(s))),
    "exchange.unbind": lambda ch, s: discard(ch.pika.exchange_unbind(s["destination"], s["source"], **binding(s))),
    "exchange.delete": lambda ch, s: discard(ch.pika.exchange_delete(s["exchange"], if_unused=s.get("ifUnused", False))),
    "qos": lambda ch, s: ch.pika.basic_qos(prefetch_count=s["count"], global_qos=s.get("global", False)),
    "publish": Channel.publish,
    "confirm.select": Channel.select_confirms,
    "tx.select": lambda ch, s: discard(ch.pika.tx_select()),
    "tx.commit": lambda ch, s: discard(ch.pika.tx_commit()),
    "tx.rollback": lambda ch, s: discard(ch.pika.tx_rollback()),
    "consume": Channel.consume,
    "cancel": lambda ch, s: discard(ch.pika.basic_cancel(s["tag"])),
    "get": Channel.get,
    "ack": lambda ch, s: ch.pika.basic_ack(s["tag"], s.get("multiple", False)),
    "nack": lambda ch, s: ch.pika.basic_nack(s["tag"], s.get("multiple", False), s.get("requeue", False)),
    "reject": lambda ch, s: ch.pika.basic_reject(s["tag"], s.get("requeue", False)),
    "recover": lambda ch, s: ch.pika.basic_recover(requeue=True),
    "await delivery": Channel.await_delivery,
    "await return": Channel.await_return,
    "await confirms": Channel.await_confirms,
    "await cancelled": Channel.await_cancelled,
    "await closed": Channel.await_closed,
    "await queue": Channel.await_queue,
}


def discard(_):
    """Some methods return the broker's answer, which carries nothing."""
