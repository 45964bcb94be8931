"""The sample tasks, sent through the broker and executed by a worker: example/tasks.py, example/results.py."""

from datetime import timedelta

import pytest
from django.utils import timezone

from config.celery import app
from example.models import TaskRun
from example.results import TaskOutcome, get_outcome
from example.tasks import add, slow, tick
from tests.support.waiting import wait_for


def outcome_of(sent) -> TaskOutcome:
    """Return how a task that was sent has ended."""

    def finished():
        outcome = get_outcome(sent.id)
        return outcome.is_finished and outcome

    return wait_for(finished, f"the end of {sent.id}")


def test_a_worker_adds_two_numbers(worker):
    outcome = outcome_of(add.delay(4, 5))

    assert (outcome.state, outcome.result) == ("SUCCESS", 9)


def test_a_sum_is_recorded_too(worker):
    sent = add.delay(4, 5)

    run = wait_for(lambda: TaskRun.objects.filter(task_id=sent.id).first(), "the record of add(4, 5)")

    assert (run.task_name, run.result) == ("example.tasks.add", 9)


def test_without_a_result_backend_the_outcome_is_what_the_task_recorded(transactional_db, monkeypatch):
    monkeypatch.delenv("CELERY_RESULT_BACKEND", raising=False)  # Celery would prefer it to the setting
    monkeypatch.setitem(app.conf, "result_backend", None)
    assert get_outcome("1") == TaskOutcome("PENDING")

    TaskRun.objects.create(task_id="1", task_name=add.name, result=9, worker="w")

    assert get_outcome("1") == TaskOutcome("SUCCESS", 9)


def test_a_task_that_no_worker_has_started_is_pending(transactional_db):
    assert get_outcome("00000000-0000-0000-0000-000000000000").state == "PENDING"


@pytest.mark.skipif(app.conf.result_backend is None, reason="without a result backend, nobody learns of a failure")
def test_a_task_that_fails_says_why(worker):
    outcome = outcome_of(add.delay(4, None))

    assert outcome.state == "FAILURE"
    assert "unsupported operand" in outcome.result


def test_a_slow_task_records_a_run(worker):
    sent = slow.delay(0.01)

    run = wait_for(lambda: TaskRun.objects.filter(task_id=sent.id).first(), "the record of slow(0.01)")

    assert (run.task_name, run.result) == ("example.tasks.slow", 0.01)


def test_a_message_that_is_delivered_twice_records_one_run(worker):
    for _ in range(2):
        slow.apply_async((0.01,), task_id="the-same")
    last = slow.delay(0.01)

    wait_for(lambda: TaskRun.objects.filter(task_id=last.id).exists(), "the third task")

    assert TaskRun.objects.filter(task_id="the-same").count() == 1


def test_a_tick_deletes_the_ticks_of_more_than_a_day_ago(worker):
    for name, days in [("old", 2), ("recent", 0)]:
        finished_at = timezone.now() - timedelta(days=days)
        TaskRun.objects.create(task_id=name, task_name=tick.name, worker="gone", finished_at=finished_at)

    sent = tick.delay()
    wait_for(lambda: not TaskRun.objects.filter(task_id="old").exists(), "the deletion of the old tick")

    assert set(TaskRun.objects.values_list("task_id", flat=True)) == {"recent", sent.id}
