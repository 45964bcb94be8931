"""Makes dead letters of the messages that no worker can process, because Redis has no notion of them."""

import logging
from typing import Any

import redis
from celery import current_app
from celery.exceptions import Reject
from django.conf import settings

from ops.celery import dead_letters
from ops.celery.dead_letters import ORIGINAL_QUEUE_HEADER, publish_copy

logger = logging.getLogger(__name__)

COUNT_EXPIRES = 7 * 24 * 3600  # seconds


class Request(dead_letters.Request):
    """A message in the worker's main process."""

    def reject(self, requeue: bool = False) -> None:
        """Reject the message as Celery does, but keep it as a dead letter unless it is requeued.

        If the broker does not accept the dead letter, the message is requeued.
        """
        if not requeue and not self.acknowledged:
            requeue = not dead_letter(self.message)
        super().reject(requeue)


def dead_letter(message: Any) -> bool:
    """Put a copy of a kombu message into the dead letter queue. Return whether the broker accepted it."""
    headers = {**message.headers, ORIGINAL_QUEUE_HEADER: message.delivery_info["routing_key"]}
    try:
        publish_copy(message, headers, settings.DEAD_LETTER_QUEUE.name)
    except Exception:
        logger.exception("%s[%s] cannot be kept as a dead letter", headers.get("task"), headers.get("id"))
        return False
    logger.error("%s[%s] is kept as a dead letter", headers.get("task"), headers.get("id"))
    return True


def dead_letter_rejected(message: Any, **kwargs: Any) -> None:
    """Receiver of task_unknown and task_rejected: keep the message, which Celery drops."""
    dead_letter(message)


def count_redelivery(request: Any) -> None:
    """Count how often a message was delivered again, because its worker died or handed it back.

    Raises Reject, which makes the message a dead letter, after DELIVERY_LIMIT times. A first delivery is not counted,
    so it costs nothing.
    """
    if not request.delivery_info.get("redelivered"):
        return
    key = f"deliveries:{request.properties['delivery_tag']}"
    try:
        with current_app.connection_or_acquire() as connection:
            count = connection.default_channel.client.incr(key)
            connection.default_channel.client.expire(key, COUNT_EXPIRES)
    except redis.RedisError as error:
        logger.warning("%s[%s]: this delivery is not counted: %r", request.task, request.id, error)
        return
    if count > settings.DELIVERY_LIMIT:
        raise Reject(f"it was delivered again more than {settings.DELIVERY_LIMIT} times", requeue=False)
