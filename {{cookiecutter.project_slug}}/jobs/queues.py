"""The queues of the messages for jobs: each queue of the project has a companion, `default` has `default.jobs`.

A companion contains nothing but messages for jobs. So its length tells the dispatcher whether messages are missing.
Plain tasks wait in another queue and don't change that length. A companion has the same queue arguments as the queue to
which it belongs.
"""

from typing import Any

from celery import bootsteps, current_app
from celery.exceptions import QueueNotFound
from kombu import Exchange, Queue


def companion(name: str) -> Queue:
    """Return the queue for the messages of jobs whose kind names this queue.

    Args:
        name: One of CELERY_TASK_QUEUES. The default queue if empty.

    Raises:
        QueueNotFound: CELERY_TASK_QUEUES has no queue with this name.
    """
    name = name or current_app.conf.task_default_queue
    try:
        queue = current_app.amqp.queues[name]
    except KeyError:
        raise QueueNotFound(f"no queue is called {name!r}, see CELERY_TASK_QUEUES") from None
    name = f"{queue.name}.jobs"
    exchange = Exchange(name, type=queue.exchange.type)
    return Queue(**queue.as_dict() | {"name": name, "alias": None, "exchange": exchange, "routing_key": name})


def names_of(name: str) -> set[str]:
    """Return all names that kinds may have for the same queue: the default queue also has the empty name."""
    default = current_app.conf.task_default_queue
    return {"", default} if name in {"", default} else {name}


class ConsumeCompanions(bootsteps.Step):
    """Lets a worker consume the companion of each queue that it consumes, also if its option -Q or -X names queues."""

    def create(self, parent: Any) -> None:
        queues = parent.app.amqp.queues
        # In a test several workers may start in one process, and the first one has added the companions.
        companions = {f"{name}.jobs" for name in queues}
        for name in [*queues.consume_from]:
            if name not in companions:
                queues.select_add(companion(name))
