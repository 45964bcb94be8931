"""What is special about RabbitMQ as the broker.

dead_letters  declares the queue to which RabbitMQ moves the messages that no worker can process
task          makes a message that can be delivered to no queue an error for its sender

The settings that belong to it, above all the arguments of its queues, are in one block of config/settings/celery.py.
"""

from celery import Celery, signals

from ops.celery.rabbitmq import dead_letters


def install(app: Celery) -> None:
    """Prepare a Celery app for RabbitMQ: declare the dead letter queue, and keep expired messages out of it."""
    app.steps["consumer"].add(dead_letters.DeclareDeadLetterQueue)
    signals.before_task_publish.connect(dead_letters.strip_expiration)
