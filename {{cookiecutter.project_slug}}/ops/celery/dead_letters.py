"""Dead letters: messages that no worker can process are kept in the queue settings.DEAD_LETTER_QUEUE.

These are the messages of tasks that killed their process more often than max_retries allows or ran out of memory in
their last retry, messages that were delivered again more than DELIVERY_LIMIT times, and messages that the worker does
not know or that the task rejected.
`manage.py dead_letters` shows them and can requeue them. How a message gets there depends on the broker: see the
dead_letters.py in its folder.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import current_app
from celery.worker import request
from django.conf import settings
from django.dispatch import Signal

# The header that names the queue from which a dead letter came. It names the last death and not the first, because a
# broker with delay queues lets a message with a countdown die in each of them before it reaches the queue of its task.
ORIGINAL_QUEUE_HEADER = "x-last-death-queue"
# Sent in the worker's main process when the process that ran a task was killed. The argument is its `task_id`.
process_lost = Signal()


class Request(request.Request):
    """A message in the worker's main process."""

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        """Handle a failure as Celery does, but reject the message of a task that lost its process too often.

        Rejecting a message makes it a dead letter. A MemoryError is a failure like any other, except that in the last
        retry it makes a dead letter as well, because too little memory is also what kills most processes.
        """
        error = getattr(exc_info.exception, "exc", exc_info.exception)  # Celery wraps the error with its traceback
        limit = self.task.max_retries
        used_up = limit is not None and self.request_dict["retries"] >= limit
        if isinstance(error, (WorkerLostError, MemoryError)) and used_up:
            self.reject(requeue=False)
        if isinstance(error, WorkerLostError):
            process_lost.send_robust(sender=type(self), task_id=self.id)
        if isinstance(error, MemoryError):
            # Celery would raise it again here, in the worker's main process, which has enough memory. That ends the
            # worker with all its tasks.
            exc_info.exception = RuntimeError(f"the task ran out of memory: {error!r}")
        return super().on_failure(exc_info, *args, **kwargs)


@contextmanager
def held_messages(connection: Any) -> Iterator[list[Any]]:
    """Yield the kombu messages in the dead letter queue, oldest first.

    Messages that the block does not acknowledge stay in the queue.
    """
    with connection.channel() as channel:
        queue = settings.DEAD_LETTER_QUEUE(channel)
        queue.declare()
        messages = list(iter(queue.get, None))
        try:
            yield messages
        finally:
            for message in reversed(messages):
                if not message.acknowledged:
                    message.requeue()


def requeue(message: Any) -> None:
    """Move a dead letter back to the queue from which it came, as if its task had never run."""
    # The headers that count its attempts and its deaths must not count against it again.
    headers = {name: value for name, value in message.headers.items() if not name.startswith(("x-", "reconnects"))}
    publish_copy(message, {**headers, "retries": 0}, message.headers[ORIGINAL_QUEUE_HEADER])
    message.ack()


def publish_copy(message: Any, headers: dict[str, Any], queue: str) -> None:
    """Publish a copy of a kombu message with these headers to the queue with this name."""
    with current_app.producer_or_acquire() as producer:
        producer.publish(
            message.body,
            routing_key=queue,
            headers=headers,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            correlation_id=message.properties.get("correlation_id"),
            reply_to=message.properties.get("reply_to"),
            mandatory=True,
            retry=True,
        )
