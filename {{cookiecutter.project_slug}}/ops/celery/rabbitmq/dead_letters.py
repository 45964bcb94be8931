"""Lets RabbitMQ keep dead letters. The arguments of the queues (config/settings/celery.py) tell it which ones."""

from typing import Any

from celery import bootsteps
from django.conf import settings


class DeclareDeadLetterQueue(bootsteps.StartStopStep):
    """Declares the dead letter queue when a worker has connected.

    RabbitMQ puts no message into a queue that does not exist.
    """

    requires = ("celery.worker.consumer:Connection",)

    def start(self, parent: Any) -> None:
        with parent.connection.channel() as channel:
            settings.DEAD_LETTER_QUEUE(channel).declare()


def strip_expiration(properties: dict[str, Any], **kwargs: Any) -> None:
    """Receiver of before_task_publish: hide from RabbitMQ when the message expires.

    RabbitMQ would make a dead letter of every expired message, that is of each task that was sent with `expires` and
    found no worker in time. Workers still drop expired messages, but until then such a message stays in its queue.
    """
    properties.pop("expiration", None)
