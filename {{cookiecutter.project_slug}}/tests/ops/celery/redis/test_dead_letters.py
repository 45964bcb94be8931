"""Redis has no dead letters, so the worker keeps the messages that no worker can process:
ops/celery/redis/dead_letters.py.
"""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from celery import shared_task
from celery.exceptions import Reject
from celery.worker import request as celery_request
from kombu import Connection

from config.celery import app
from ops.celery.redis import dead_letters


@shared_task
def refuse() -> None:
    """Rejects its message."""
    raise Reject("not now", requeue=False)


def message(**delivery_info):
    """Return a message from the queue `urgent`."""
    headers = {"id": "1", "task": "app.tasks.one"}
    return SimpleNamespace(headers=headers, delivery_info={"routing_key": "urgent", **delivery_info})


@pytest.fixture
def published(monkeypatch):
    """What would be published."""
    published = []
    monkeypatch.setattr(dead_letters, "publish_copy", lambda *arguments: published.append(arguments))
    return published


def test_a_dead_letter_says_from_which_queue_it_came(published, settings):
    one = message()

    assert dead_letters.dead_letter(one)

    headers = {**one.headers, dead_letters.ORIGINAL_QUEUE_HEADER: "urgent"}
    assert published == [(one, headers, settings.DEAD_LETTER_QUEUE.name)]


class FakeRequest(dead_letters.Request):
    """The request of a message in the main process of a worker."""

    def __init__(self, acknowledged):
        self.acknowledged = acknowledged
        self._message = message()


@pytest.mark.parametrize(("requeue", "acknowledged", "kept"), [(False, False, 1), (True, False, 0), (False, True, 0)])
def test_a_rejected_message_is_kept_unless_it_is_requeued(published, monkeypatch, requeue, acknowledged, kept):
    rejected = []
    monkeypatch.setattr(celery_request.Request, "reject", lambda self, requeue: rejected.append(requeue))

    FakeRequest(acknowledged).reject(requeue)

    assert len(published) == kept
    assert rejected == [requeue]


def test_a_message_whose_worker_dies_each_time_is_given_up(settings, redis_url, monkeypatch):
    request = SimpleNamespace(
        id="1", task="fatal", properties={"delivery_tag": "test"}, delivery_info={"redelivered": True}
    )
    connection = Connection(redis_url)
    monkeypatch.setattr(app, "connection_or_acquire", lambda: nullcontext(connection))
    connection.default_channel.client.delete("deliveries:test")

    for _ in range(settings.DELIVERY_LIMIT):
        dead_letters.count_redelivery(request)
    with pytest.raises(Reject) as reject:
        dead_letters.count_redelivery(request)

    assert reject.value.requeue is False
    connection.release()


def test_a_message_that_comes_for_the_first_time_is_not_counted(monkeypatch):
    monkeypatch.setattr(app, "connection_or_acquire", None)  # calling it would raise an error

    dead_letters.count_redelivery(SimpleNamespace(delivery_info={"redelivered": False}))


def test_a_message_that_cannot_be_kept_goes_back_to_its_queue(worker, dead_letter, monkeypatch):
    refusals = []

    def refuse_once(*args):
        if refusals:
            publish(*args)
        else:
            refusals.append(args)
            raise ConnectionError("the broker is down")

    publish = dead_letters.publish_copy
    monkeypatch.setattr(dead_letters, "publish_copy", refuse_once)

    sent = refuse.delay()

    assert dead_letter(sent.id)
    assert refusals
