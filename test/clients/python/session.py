"""Connections and channels of a case, by the names that it gives them; one each is "main" from the beginning."""

import re
import time
from urllib.parse import unquote, urlsplit

import pika
from pika import exceptions

from channel import Channel
from waiting import wait
from values import neutral


class Connection:
    def __init__(self, parameters):
        self.pika = pika.BlockingConnection(parameters)
        self.closed, self.blocked = [], []
        self.pika._impl.add_on_close_callback(lambda _, reason: self.closed.append(reason))
        self.pika.add_on_connection_blocked_callback(lambda _, frame: self.blocked.append((True, frame.method.reason)))
        self.pika.add_on_connection_unblocked_callback(lambda _, frame: self.blocked.append((False, "")))

    def pump(self, seconds):
        """Lets pika do its work, for at most so long. What it raises has come to a callback already."""
        if not self.pika.is_open:
            time.sleep(seconds)
            return
        try:
            self.pika.process_data_events(time_limit=seconds)
        except exceptions.AMQPError:
            pass

    def describe(self):
        tuned, server = self.pika._impl.params, neutral(self.pika._impl.server_properties)
        return {"product": server["product"], "server": server, "frameMax": tuned.frame_max,
                "channelMax": tuned.channel_max, "heartbeat": tuned.heartbeat}

    def await_disconnected(self):
        reason = wait(self, lambda: self.closed and self.closed[0])
        return {"code": reason.reply_code, "text": reason.reply_text}

    def await_blocked(self, active):
        def found():
            return next((reason for blocked, reason in self.blocked if blocked == active), None)
        wait(self, lambda: found() is not None)
        return {"reason": found()}


class Session:
    def __init__(self, uri, ask):
        self.uri, self.ask = urlsplit(uri), ask
        self.connections, self.channels = {}, {}
        # The queue declared last, and replyTo of the last message.
        self.queue, self.reply = "", ""

    def carry_out(self, steps):
        """Does steps until one fails that should not."""
        try:
            self.do({"op": "connection.open"})
            self.do({"op": "channel.open"})
        except Exception as e:
            return [failure(e)]
        results = []
        for step in steps:
            try:
                results.append(self.do(step) or {})
            except Exception as e:
                results.append(failure(e))
                if not step.get("fails"):
                    break
        return results

    def do(self, step):
        dynamic = {"@queue": self.queue, "@reply": self.reply}
        step = {k: dynamic.get(v, v) if isinstance(v, str) else v for k, v in step.items()}
        op = step["op"]
        if op in ON_SESSION:
            return ON_SESSION[op](self, step)
        if op in ON_CONNECTION:
            return ON_CONNECTION[op](self.connections[step.get("connection", "main")])
        return self.channels[step.get("channel", "main")].do(op, step)

    def connect(self, step):
        credentials = pika.PlainCredentials(step.get("user", unquote(self.uri.username)),
                                            step.get("password", unquote(self.uri.password)))
        connection = Connection(pika.ConnectionParameters(
            self.uri.hostname, self.uri.port, step.get("vhost", "/"), credentials, heartbeat=step.get("heartbeat")))
        self.connections[step.get("connection", "main")] = connection
        return connection.describe()

    def open(self, step):
        connection = self.connections[step.get("connection", "main")]
        channel = self.channels[step.get("channel", "main")] = Channel(self, connection)
        if step.get("confirm"):
            channel.select_confirms(step)

    def await_time(self, step):
        end = time.monotonic() + step["seconds"]
        while time.monotonic() < end:
            for connection in self.connections.values():
                connection.pump(0.1)

    def end(self):
        for connection in self.connections.values():
            if connection.pika.is_open:
                connection.pika.close()


ON_SESSION = {
    "connection.open": Session.connect,
    "channel.open": Session.open,
    "await time": Session.await_time,
    "ask alarm": lambda session, step: session.ask("alarm"),
    "ask relief": lambda session, step: session.ask("relief"),
}

ON_CONNECTION = {
    "connection.close": lambda connection: connection.pika.close(),
    "await disconnected": Connection.await_disconnected,
    "await blocked": lambda connection: connection.await_blocked(True),
    "await unblocked": lambda connection: connection.await_blocked(False),
}


def failure(e):
    """The result of a step that failed."""
    if isinstance(e, (exceptions.ChannelClosed, exceptions.ConnectionClosed)):
        return {"fails": True, "code": e.reply_code, "text": e.reply_text}
    # A connection that did not come about: the reason is only in the text.
    refused = re.search(r"\((\d+)\) [\"'](.*?)[\"']\)?$", str(e) or repr(e))
    if refused:
        return {"fails": True, "code": int(refused[1]), "text": refused[2]}
    return {"fails": True, "text": repr(e)}
