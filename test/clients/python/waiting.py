"""Waiting while pika works."""

import time

# PATIENCE is how long is waited for what must come, in seconds.
PATIENCE = 20


def wait(connection, found):
    """Waits until something is found, and returns it."""
    end = time.monotonic() + PATIENCE
    while True:
        value = found()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        connection.pump(0.05)
