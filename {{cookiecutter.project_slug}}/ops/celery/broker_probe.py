"""A thread that asks the broker whether it answers, and whether messages wait."""

import threading
import time
from typing import Any

from celery import current_app

INTERVAL = 15.0  # seconds between two questions
ANSWER_LIMIT = 30.0  # seconds since the last answer after which the broker counts as down


class BrokerProbe(threading.Thread):
    """Asks the broker every INTERVAL seconds, on a connection of its own, so that nothing else waits for the answer.

    It asks for the length of each queue that this process consumes (or would, if it were a worker), which is one short
    question per queue. The timeouts of a connection limit how long it waits for a broker that hangs:
    config/settings/celery.py.
    """

    def __init__(self) -> None:
        super().__init__(name="broker probe", daemon=True)
        self._stop_event = threading.Event()
        self._connection: Any = None
        self._channel: Any = None
        self._answered_at = float("-inf")  # time.monotonic()
        self._messages_wait = False

    @property
    def answers(self) -> bool:
        """Tell whether the broker has answered lately."""
        return time.monotonic() - self._answered_at < ANSWER_LIMIT

    @property
    def messages_wait(self) -> bool:
        """Tell whether messages wait that this process could take. If the broker does not answer: no."""
        return self._messages_wait and self.answers

    def run(self) -> None:
        """Ask until stop() is called."""
        self.ask()
        while not self._stop_event.wait(INTERVAL):
            self.ask()
        self._disconnect()

    def stop(self) -> None:
        """Let the thread end. This does not wait for it."""
        self._stop_event.set()

    def ask(self) -> None:
        """Ask the broker once, and remember its answer."""
        try:
            # The worker may be told to consume other queues meanwhile, so ask for those that it consumes now.
            lengths = [self._length(queue) for queue in list(current_app.amqp.queues.consume_from.values())]
        except Exception:  # each transport raises errors of its own; the process itself logs that the broker is down
            self._answered_at, self._messages_wait = float("-inf"), False
            self._disconnect()
        else:
            self._answered_at, self._messages_wait = time.monotonic(), any(lengths)

    def _length(self, queue: Any) -> int:
        if self._channel is None:
            self._connection = self._connection or current_app.connection_for_read()
            self._channel = self._connection.channel()
        try:
            return queue(self._channel).queue_declare(passive=True).message_count
        except self._connection.channel_errors:
            # Nothing has created the queue yet, or it is empty: Redis keeps no empty lists. The broker may have closed
            # the channel.
            self._channel = None
            return 0

    def _disconnect(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection:
            connection.release()
