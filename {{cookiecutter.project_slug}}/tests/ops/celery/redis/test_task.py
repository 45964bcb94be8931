"""What a task has in addition when the broker is Redis: ops/celery/redis/task.py."""

from datetime import timedelta

import pytest
from celery import shared_task
from celery.exceptions import Reject
from django.conf import settings
from django.utils import timezone

from config.celery import app
from ops.celery.redis import dead_letters
from tests.support.waiting import wait_for

runs = []


@shared_task
def run() -> None:
    """Note that it ran."""
    runs.append(1)


@shared_task(bind=True)
def retry(self, **when) -> None:
    """Try again, at a time that the test chooses."""
    runs.append(1)
    self.retry(**when)


@pytest.mark.parametrize(
    "when",
    [
        {"countdown": settings.MAX_COUNTDOWN + 1},
        {"eta": timezone.now() + timedelta(hours=1)},
        {"eta": (timezone.now() + timedelta(hours=1)).isoformat()},
    ],
)
def test_a_task_that_redis_would_deliver_twice_while_it_waits_is_refused(when):
    with pytest.raises(ValueError, match=f"at most {settings.MAX_COUNTDOWN} s are possible"):
        run.apply_async(**when)


def test_a_countdown_must_leave_enough_time_for_a_task_that_may_run_longer_than_others():
    longer = {"time_limit": settings.CELERY_TASK_TIME_LIMIT + 100}

    with pytest.raises(ValueError, match=f"at most {settings.MAX_COUNTDOWN - 100} s are possible"):
        run.apply_async(countdown=settings.MAX_COUNTDOWN - 50, **longer)


def test_a_retry_that_is_too_far_ahead_fails_once_and_says_what_to_do(worker, caplog):
    runs.clear()

    retry.delay(countdown=settings.MAX_COUNTDOWN + 1)
    run.delay()

    wait_for(lambda: len(runs) >= 2, "the task after it")
    [error] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert f"at most {settings.MAX_COUNTDOWN} s are possible" in error
    assert "The comment at MAX_COUNTDOWN in config/settings/celery.py says what to do" in error
    assert len(runs) == 2


def test_a_default_delay_that_is_too_far_ahead_is_refused_as_well(monkeypatch):
    monkeypatch.setattr(retry, "default_retry_delay", settings.MAX_COUNTDOWN + 1)
    retry.push_request(id="1", called_directly=False, delivery_info={"routing_key": "default"}, headers=None)
    try:
        with pytest.raises(ValueError, match=f"at most {settings.MAX_COUNTDOWN} s are possible"):
            retry.retry()
    finally:
        retry.pop_request()


@pytest.mark.parametrize("seconds", [0, settings.MAX_COUNTDOWN])
def test_a_shorter_wait_is_fine(monkeypatch, seconds):
    monkeypatch.setattr(app, "send_task", lambda *args, **options: options)

    assert run.apply_async(countdown=seconds)["countdown"] == seconds
    assert run.apply_async(eta=timezone.now() + timedelta(seconds=seconds))


@pytest.fixture
def delivered_too_often(monkeypatch):
    """Refuse every delivery, and forget what ran before."""

    def refuse(request):
        raise Reject("its worker died", requeue=False)

    monkeypatch.setattr(dead_letters, "count_redelivery", refuse)
    runs.clear()


def test_a_message_that_was_delivered_too_often_is_not_run_again(delivered_too_often):
    run.push_request(called_directly=False)
    try:
        with pytest.raises(Reject):
            run()
    finally:
        run.pop_request()

    assert not runs


def test_a_task_that_no_worker_calls_has_no_message_to_count(delivered_too_often):
    run()
    run.apply(throw=True)

    assert len(runs) == 2
