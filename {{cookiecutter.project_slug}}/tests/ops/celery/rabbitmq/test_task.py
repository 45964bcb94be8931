"""What a task has in addition when the broker is RabbitMQ: ops/celery/rabbitmq/task.py."""

from celery import shared_task

from config.celery import app


@shared_task
def anything() -> None:
    """A task that is never run."""


def test_every_message_asks_for_an_error_if_it_fits_no_queue(monkeypatch):
    monkeypatch.setattr(app, "send_task", lambda *args, **options: options)

    assert anything.delay()["mandatory"] is True
