"""What no worker can work on is kept, and a person can send it again: ops/dead_letters.py."""

from io import StringIO
from types import SimpleNamespace

import pytest
from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery import shared_task
from celery.exceptions import Reject
from django.core.management import CommandError, call_command
from kombu.exceptions import OperationalError

from config.celery import app
from ops import dead_letters
from tests.waiting import wait_for

{% if cookiecutter.broker == "redis" %}
needs_broker = pytest.mark.skipif(not app.conf.broker_url.startswith("redis"), reason="needs Redis: make test-docker")
{% else %}
needs_broker = pytest.mark.skipif(
    not app.conf.broker_url.startswith("amqp"), reason="needs RabbitMQ, which keeps them: make test-docker"
)
{% endif %}
done = []
refusing = set()


@shared_task(bind=True)
def picky(self, name: str) -> None:
    """Rejects its message as long as the test says so."""
    if name in refusing:
        raise Reject("not now", requeue=False)
    done.append(name)


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("dead_letters", *arguments, stdout=out)
    return out.getvalue()


def kept(task_id: str) -> str:
    """Return the line of this dead letter, once there is one."""

    def line():
        return "".join(line for line in command().splitlines() if line.startswith(task_id))

    return wait_for(line, f"the dead letter {task_id}", seconds=20)


{% if cookiecutter.broker == "rabbitmq" %}
@needs_broker
{% endif %}
def test_a_task_that_the_worker_does_not_know_is_kept(worker):
    sent = app.send_task("nobody.knows", [1, 2], queue="test")

    assert kept(sent.id) == f"{sent.id} nobody.knows [1, 2] {{"{{}}"}}"

    assert command("--delete", sent.id).startswith(f"deleted: {sent.id}")
    with pytest.raises(CommandError, match=f"no dead letter has the id {sent.id}"):
        command(sent.id)


{% if cookiecutter.broker == "rabbitmq" %}
@needs_broker
{% endif %}
def test_a_rejected_task_is_kept_until_somebody_sends_it_again(worker):
    refusing.add("a")
    sent = picky.delay("a")
    assert kept(sent.id).startswith(f"{sent.id} tests.test_dead_letters.picky ('a',)")
    assert kept(sent.id)  # looking does not take it away

    refusing.clear()
    command("--send-again", sent.id)

    wait_for(lambda: done == ["a"], "the task", seconds=20)
    with pytest.raises(CommandError):
        command(sent.id)


def test_a_broker_that_is_away_is_said_in_one_line(monkeypatch):
    def refuse(*args, **kwargs):
        raise OperationalError("connection refused")

    monkeypatch.setattr("kombu.Connection.ensure_connection", refuse)

    with pytest.raises(CommandError, match="the broker does not answer"):
        command()


class FakeRequest(dead_letters.Request):
    """The request of a task that has lost its process `retries` times before."""

    def __init__(self, retries):
        self._request_dict = {"retries": retries}
        self._task = SimpleNamespace(max_retries=5)
        self.rejected = []

    def reject(self, requeue=False):
        self.rejected.append(requeue)


@pytest.mark.parametrize(("retries", "rejected"), [(4, []), (5, [False])])
def test_a_task_that_loses_its_process_once_more_than_it_may_is_rejected(monkeypatch, retries, rejected):
    monkeypatch.setattr(dead_letters.request.Request, "on_failure", lambda *args, **kwargs: None)
    request = FakeRequest(retries)

    try:
        raise WorkerLostError("signal 9")
    except WorkerLostError:
        request.on_failure(ExceptionInfo())

    assert request.rejected == rejected
{% if cookiecutter.broker == "redis" %}


@needs_broker
def test_a_message_whose_worker_dies_each_time_is_given_up(settings):
    request = SimpleNamespace(
        id="1", task="fatal", properties={"delivery_tag": "test"}, delivery_info={"redelivered": True}
    )
    with app.connection_for_write() as connection:
        connection.default_channel.client.delete("deliveries:test")

    for _ in range(settings.DELIVERY_LIMIT):
        dead_letters.count_delivery(request)
    with pytest.raises(Reject) as reject:
        dead_letters.count_delivery(request)

    assert reject.value.requeue is False


def test_a_message_that_comes_for_the_first_time_is_not_counted(monkeypatch):
    monkeypatch.setattr(app, "connection_or_acquire", None)  # would be called

    dead_letters.count_delivery(SimpleNamespace(delivery_info={"redelivered": False}))


def test_what_cannot_be_kept_goes_back_to_its_queue(worker, monkeypatch):
    refusals = []

    def refuse_once(*args):
        if refusals:
            publish(*args)
        else:
            refusals.append(args)
            raise ConnectionError("the broker is away")

    publish = dead_letters._publish
    monkeypatch.setattr(dead_letters, "_publish", refuse_once)
    refusing.add("b")

    sent = picky.delay("b")

    assert kept(sent.id)
    assert refusals
{% else %}


def test_an_expired_message_is_no_dead_letter(monkeypatch):
    properties = {"expiration": 30, "priority": 1}

    dead_letters.leave_expiry_to_workers(properties=properties)

    assert properties == {"priority": 1}
{% endif %}
