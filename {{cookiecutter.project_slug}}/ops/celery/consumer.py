"""Celery's consumer, which takes messages from the broker. It is adapted to the health check, the autoscaler and the
thread pool.
"""

from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

from ops.celery.threads import TaskPool
from ops.celery.worker_heartbeat import progress


class Consumer(CeleryConsumer):
    """A consumer that notes when it takes a message. When the worker ends, it does not wait for threads."""

    @property
    def max_prefetch_count(self) -> int:
        """How many messages this worker may reserve after it has connected again: one for each process that its pool
        may grow to. Celery's own property counts the current processes. With that the pool could not grow, because the
        autoscaler starts processes only for reserved messages.
        """
        return int(max(self.controller.max_concurrency or 0, self.pool.num_processes) * self.prefetch_multiplier)

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
