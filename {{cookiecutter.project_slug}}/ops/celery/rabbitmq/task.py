"""The base class of every task when the broker is RabbitMQ."""

from ops.celery import task


class Task(task.Task):
    """Task whose sender gets an error if RabbitMQ can deliver its message to no queue."""

    # Without this, RabbitMQ would drop such a message silently. With it, a third fewer messages can be sent per second.
    # https://www.rabbitmq.com/docs/publishers#unroutable
    mandatory = True
