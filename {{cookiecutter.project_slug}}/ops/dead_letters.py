"""Messages that no worker can work on are kept in the queue `dead-letters`: settings.DEAD_LETTERS.

Those are tasks that killed their process once more than max_retries allows, messages whose worker died DELIVERY_LIMIT
times, and tasks that the worker does not know or that reject themselves. `manage.py dead_letters` shows them, and sends
them again.
"""

{% if cookiecutter.broker == "redis" %}
import logging
{% endif %}
from collections.abc import Iterator
from contextlib import contextmanager

{% if cookiecutter.broker == "redis" %}
import redis
from billiard.exceptions import WorkerLostError
from celery import current_app
from celery.exceptions import Reject
from celery.signals import task_rejected, task_unknown
from celery.worker import request
{% else %}
from billiard.exceptions import WorkerLostError
from celery import bootsteps, current_app
from celery.worker import request
{% endif %}
from django.conf import settings

{% if cookiecutter.broker == "redis" %}
logger = logging.getLogger(__name__)

# The header that names the queue a dead letter came from.
{% else %}
# The header in which RabbitMQ names the queue that a dead letter came from.
{% endif %}
ORIGIN = "x-first-death-queue"


class Request(request.Request):
    """A message in the hands of a worker's main process."""

    def on_failure(self, exc_info, *args, **kwargs):
        """Celery's, but the message of a task that lost its process too often is rejected, and so kept."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)  # it comes wrapped, with a traceback
        limit = self.task.max_retries
        used_up = limit is not None and self.request_dict["retries"] >= limit
        if isinstance(error, WorkerLostError) and used_up:
            self.reject(requeue=False)
        return super().on_failure(exc_info, *args, **kwargs)
{% if cookiecutter.broker == "redis" %}

    def reject(self, requeue: bool = False) -> None:
        """Celery's, but what is rejected for good is kept. If that fails, it goes back to its queue."""
        if not requeue and not self.acknowledged:
            requeue = not keep(self.message)
        super().reject(requeue)


def keep(message) -> bool:
    """Put a copy of a kombu message into DEAD_LETTERS. Returns whether the broker took it."""
    headers = {**message.headers, ORIGIN: message.delivery_info["routing_key"]}
    try:
        _publish(message, headers, settings.DEAD_LETTERS.name)
    except Exception:
        logger.exception("%s[%s] can't be kept as a dead letter", headers.get("task"), headers.get("id"))
        return False
    logger.error("%s[%s] is kept as a dead letter", headers.get("task"), headers.get("id"))
    return True


def keep_rejected(message, **kwargs) -> None:
    """Receiver of task_unknown and task_rejected: Celery drops such a message."""
    keep(message)


task_unknown.connect(keep_rejected)
task_rejected.connect(keep_rejected)


def count_delivery(request) -> None:
    """Count how often a message came that has come before: its worker died, or gave it back.

    Raises Reject, which makes it a dead letter, after DELIVERY_LIMIT times.
    """
    if not request.delivery_info.get("redelivered"):
        return
    key = f"deliveries:{request.properties['delivery_tag']}"
    try:
        with current_app.connection_or_acquire() as connection:
            count = connection.default_channel.client.incr(key)
            connection.default_channel.client.expire(key, 7 * 24 * 3600)
    except redis.RedisError as error:
        logger.warning("%s[%s]: this delivery is not counted: %r", request.task, request.id, error)
        return
    if count > settings.DELIVERY_LIMIT:
        raise Reject(f"its worker died {settings.DELIVERY_LIMIT} times", requeue=False)
{% else %}


class DeadLetters(bootsteps.StartStopStep):
    """Declares DEAD_LETTERS when a worker has connected: RabbitMQ puts nothing into a queue that is not there."""

    requires = ("celery.worker.consumer:Connection",)

    def start(self, parent):
        with parent.connection.channel() as channel:
            settings.DEAD_LETTERS(channel).declare()


def leave_expiry_to_workers(properties: dict, **kwargs) -> None:
    """Receiver of before_task_publish: take `expires` out of what RabbitMQ sees, which would make a dead letter of each
    tick that found no worker. A worker still drops what has expired. Price: until then it waits in the queue.
    """
    properties.pop("expiration", None)
{% endif %}


@contextmanager
def letters(connection) -> Iterator[list]:
    """Give the kombu messages in DEAD_LETTERS, oldest first. What is not acknowledged in the block stays there."""
    with connection.channel() as channel:
        queue = settings.DEAD_LETTERS(channel)
        queue.declare()
        messages = list(iter(queue.get, None))
        try:
            yield messages
        finally:
            for message in reversed(messages):
                if not message.acknowledged:
                    message.requeue()


def send_again(message) -> None:
    """Publish a dead letter to the queue that it came from, as if it had never run, and take it out of DEAD_LETTERS."""
    headers = {name: value for name, value in message.headers.items() if not name.startswith("x-")}
    _publish(message, {**headers, "retries": 0}, message.headers[ORIGIN])
    message.ack()


def _publish(message, headers: dict, queue: str) -> None:
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
