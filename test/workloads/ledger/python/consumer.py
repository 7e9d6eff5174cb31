"""The ledger as a service with pika, Python's blocking client: reconnects, confirms, acknowledges after the work."""

import datetime
import json
import logging
import secrets
import threading
import time

import pika

import chain

HEADER_RESENT = "ledger-resent"
TYPE_FENCE = "fence"
MIN_BACKOFF, MAX_BACKOFF = 0.02, 0.5


class Consumer:
    """One instance of the service."""

    def __init__(self, options):
        self.options = options
        self.ballast = chain.Ballast(options.memory)
        self.lock = threading.Lock()
        self.ledger = chain.Ledger(secrets.token_hex(16), datetime.datetime.now(datetime.timezone.utc).isoformat())
        # The output that the broker has not confirmed. Its message is applied, so a redelivery would be skipped: the
        # next session must publish it first.
        self.pending = None

    def state(self, with_memory):
        with self.lock:
            state = self.ledger.state()
        if with_memory:
            state["memory"] = self.ballast.memory()
        return state

    def run(self):
        """Consume for good, through any number of connections."""
        backoff = MIN_BACKOFF
        while True:
            try:
                with self.connect() as connection:
                    backoff = MIN_BACKOFF
                    self.consume(connection.channel())
            except (pika.exceptions.AMQPError, OSError) as error:
                logging.warning("Session with the broker ended, reconnecting in %.2f s: %r", backoff, error)
            time.sleep(backoff)
            backoff = min(2 * backoff, MAX_BACKOFF)

    def connect(self):
        parameters = pika.URLParameters(self.options.broker)
        parameters.heartbeat = 10
        parameters.client_properties = {"connection_name": "ledger"}
        return pika.BlockingConnection(parameters)

    def consume(self, channel):
        channel.confirm_delivery()
        for queue in (self.options.queue_in, self.options.queue_out):
            channel.queue_declare(queue, durable=True, arguments={"x-queue-type": self.options.queue_type})
        channel.basic_qos(prefetch_count=self.options.prefetch)
        if self.pending:
            properties, body = self.pending
            properties.headers = {HEADER_RESENT: True}
            self.publish_pending(channel)
        channel.basic_consume(self.options.queue_in, self.handle)
        channel.start_consuming()

    def handle(self, channel, method, properties, body):
        """Take one message to its end: work, apply, output, confirm, acknowledge."""
        if properties.type == TYPE_FENCE:
            fence = pika.BasicProperties(delivery_mode=2, type=TYPE_FENCE, message_id=properties.message_id)
            channel.basic_publish("", self.options.queue_out, b"", fence)
        else:
            time.sleep(self.options.service)
            output = self.apply(method, properties, body)
            if output:
                # The time is the message's, not the clock's: the output is a function of the state alone.
                self.pending = pika.BasicProperties(
                    delivery_mode=2, content_type="application/json", timestamp=properties.timestamp,
                    message_id=f"{output['producer']}/{output['sequence']}"), json.dumps(output).encode()
                self.publish_pending(channel)
        channel.basic_ack(method.delivery_tag)

    def publish_pending(self, channel):
        """Publish and await the confirm, as the channel's mode demands."""
        properties, body = self.pending
        channel.basic_publish("", self.options.queue_out, body, properties)
        self.pending = None

    def apply(self, method, properties, body):
        with self.lock:
            try:
                producer, sequence = chain.parse(body)
            except ValueError as error:
                self.ledger.malformed(error)
                return None
            digest = chain.envelope(method.exchange, method.routing_key, properties.content_type or "",
                                    properties.message_id or "", properties.timestamp or 0, body)
            resent = (properties.headers or {}).get(HEADER_RESENT) is True
            return self.ledger.apply(producer, sequence, digest, method.redelivered, resent)
