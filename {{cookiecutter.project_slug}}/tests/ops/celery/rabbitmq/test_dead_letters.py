"""RabbitMQ keeps dead letters itself if their queue exists: ops/celery/rabbitmq/dead_letters.py."""

from types import SimpleNamespace

from celery.signals import before_task_publish

from config.celery import app
from ops.celery.rabbitmq import dead_letters


def publish(**properties) -> dict:
    """Return the properties that a message with these properties is published with."""
    before_task_publish.send(
        sender="any", body=(), exchange="", routing_key="", headers={}, properties=properties, retry_policy={}
    )
    return properties


def test_an_expired_message_is_not_a_dead_letter():
    assert publish(expiration=30, priority=1) == {"priority": 1}


def test_a_worker_declares_the_queue_of_dead_letters_when_it_has_connected(settings, monkeypatch):
    assert dead_letters.DeclareDeadLetterQueue in app.steps["consumer"]
    declared = []
    monkeypatch.setattr(type(settings.DEAD_LETTER_QUEUE), "declare", lambda queue: declared.append(queue.name))

    with app.connection_for_write() as connection:
        dead_letters.DeclareDeadLetterQueue(None).start(SimpleNamespace(connection=connection))

    assert declared == [settings.DEAD_LETTER_QUEUE.name]
