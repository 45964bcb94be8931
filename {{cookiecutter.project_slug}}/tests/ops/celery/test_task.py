"""What every task has: ops/celery/task.py."""

import psycopg
import pytest
from celery import Signature, shared_task
from celery.exceptions import QueueNotFound, Reject, Retry
from django.db import InterfaceError, OperationalError, transaction
from kombu.exceptions import EncodeError
from redis import exceptions as redis

from config.celery import app
from ops.celery import task as base
from ops.celery.task import MAX_RECONNECTS, Task
from tests.support.waiting import wait_for

LOST = [OperationalError(), InterfaceError(), redis.ConnectionError(), redis.TimeoutError()]
TIMEOUT = psycopg.errors.QueryCanceled("canceling statement due to statement timeout")
runs = []


@shared_task
def fails(message: str) -> None:
    """Fails the first two times as if the database restarted."""
    runs.append(message)
    if len(runs) < 3:
        raise OperationalError(message)


@shared_task(bind=True, max_retries=1)
def with_limit(self, value: object = None) -> None:
    """A task with a limit of its own."""


class Sent(list):
    """Takes the place of apply_async, and collects what would have been published."""

    def __call__(self, *args, **options):
        self.append(options)


@pytest.fixture
def sent(monkeypatch):
    sent = Sent()
    monkeypatch.setattr(Signature, "apply_async", sent)
    return sent


@pytest.fixture
def in_worker():
    """Make the request of with_limit look as if a worker ran it."""
    options = {"id": "1", "called_directly": False, "delivery_info": {"routing_key": "default"}, "headers": None}
    with_limit.push_request(**options)
    yield with_limit.request
    with_limit.pop_request()


def test_a_plain_shared_task_has_the_projects_defaults():
    assert isinstance(fails, Task)
    assert (fails.max_retries, fails.default_retry_delay) == (5, 10)


def test_a_task_may_set_its_own_limit():
    assert with_limit.max_retries == 1


@pytest.mark.django_db(transaction=True)
def test_a_task_for_the_end_of_the_transaction_is_sent_then_and_not_after_a_rollback(monkeypatch):
    sent = Sent()
    monkeypatch.setattr(with_limit, "apply_async", sent)

    with transaction.atomic():
        with_limit.delay_on_commit()
        assert not sent
    assert len(sent) == 1

    with transaction.atomic():
        with_limit.delay_on_commit()
        transaction.set_rollback(True)
    assert len(sent) == 1


@pytest.mark.slow
def test_a_task_that_loses_its_connections_is_run_again_until_it_has_them(worker, monkeypatch):
    monkeypatch.setattr(base, "get_exponential_backoff_interval", lambda *args, **kwargs: 0)
    runs.clear()

    fails.delay("restart")

    wait_for(lambda: len(runs) == 3, "the third run", seconds=20)


@pytest.mark.parametrize("error", LOST, ids=repr)
def test_a_lost_connection_sends_the_task_again_later(in_worker, sent, monkeypatch, error):
    def lose():
        raise error

    monkeypatch.setattr(with_limit, "run", lose)

    with pytest.raises(Retry) as retry:
        with_limit()

    assert len(sent) == 1
    assert 1 <= retry.value.sig.options["countdown"] <= 2
    assert retry.value.sig.options["headers"]["reconnects"] == 1


def test_another_error_does_not_send_the_task_again(in_worker, sent, monkeypatch):
    monkeypatch.setattr(with_limit, "run", lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        with_limit()

    assert not sent


def test_a_statement_timeout_does_not_send_the_task_again(in_worker, sent, monkeypatch):
    def run_out_of_time():
        raise OperationalError("canceling statement due to statement timeout") from TIMEOUT

    monkeypatch.setattr(with_limit, "run", run_out_of_time)

    with pytest.raises(OperationalError):
        with_limit()

    assert not sent


def test_a_task_may_turn_off_retries_after_a_lost_connection(in_worker, sent, monkeypatch):
    def lose():
        raise OperationalError("gone")

    monkeypatch.setattr(with_limit, "run", lose)
    monkeypatch.setattr(with_limit, "retry_on_lost_connection", False)

    with pytest.raises(OperationalError):
        with_limit()

    assert not sent


@pytest.mark.parametrize("call", [lambda: with_limit(), lambda: with_limit.apply(throw=True)], ids=["()", "apply"])
def test_a_task_that_no_worker_calls_raises_its_error(sent, monkeypatch, call):
    def lose():
        raise OperationalError("gone")

    monkeypatch.setattr(with_limit, "run", lose)

    with pytest.raises(OperationalError):
        call()

    assert not sent


def test_lost_connections_do_not_count_as_retries(in_worker, sent):
    in_worker.retries = 1

    with pytest.raises(Retry) as retry:
        with_limit.retry_lost_connection(OperationalError("gone"))

    assert retry.value.sig.options["retries"] == 1


def test_the_delays_grow_to_a_minute(in_worker, sent):
    in_worker.headers = {"reconnects": MAX_RECONNECTS - 1}
    delays = []
    for _ in range(50):
        with pytest.raises(Retry) as retry:
            with_limit.retry_lost_connection(OperationalError("gone"))
        delays.append(retry.value.sig.options["countdown"])

    assert 30 < max(delays) <= 61
    assert len(set(delays)) > 10  # random, otherwise all tasks would come back at the same moment


def test_a_task_gives_up_in_the_end(in_worker, sent):
    in_worker.headers = {"reconnects": MAX_RECONNECTS}

    with pytest.raises(OperationalError):
        with_limit.retry_lost_connection(OperationalError("gone"))

    assert not sent


@pytest.mark.parametrize("options", [{"queue": "misspelt"}, {"args": [object()]}], ids=["queue", "arguments"])
def test_a_retry_that_can_never_be_sent_is_an_error_of_the_task(in_worker, options):
    with pytest.raises((QueueNotFound, EncodeError)):
        with_limit.retry(**options)


@pytest.mark.parametrize(
    "again", [lambda: with_limit.retry(), lambda: with_limit.retry_lost_connection(OperationalError("gone"))]
)
def test_a_retry_that_the_broker_does_not_accept_leaves_the_message_where_it_was(in_worker, monkeypatch, again):
    def refuse(*args, **kwargs):
        raise ConnectionError("the broker is down")

    monkeypatch.setattr(app, "send_task", refuse)

    with pytest.raises(Reject) as reject:
        again()

    assert reject.value.requeue is True
