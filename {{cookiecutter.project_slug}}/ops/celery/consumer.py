"""Celery's consumer, which takes messages from the broker, with additions for the health check and for threads."""

from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

from ops.celery.threads import TaskPool
from ops.celery.worker_heartbeat import progress


class Consumer(CeleryConsumer):
    """A consumer that notes when it takes a message, and that ends the process if threads would keep it."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """Return the function to which the connection gives each message."""
        handle = super().create_task_handler(*args, **kwargs)

        def handle_message(message: Any) -> Any:
            progress.note()
            return handle(message)

        return handle_message

    def shutdown(self) -> None:
        """Close the connection, which gives the messages of unfinished tasks back. The worker ends after this."""
        super().shutdown()
        if isinstance(self.pool, TaskPool):
            self.pool.abandon()
