"""Tasks, sent through the broker and executed by a worker."""

{% if cookiecutter.beat %}
from datetime import timedelta

import pytest
from celery.exceptions import QueueNotFound
from django.utils import timezone
{% else %}
import pytest
from celery.exceptions import QueueNotFound
{% endif %}

from config.celery import app
from jobs.models import Trace
from jobs.results import outcome_of
{% if cookiecutter.beat %}
from jobs.tasks import add, slow, tick
{% else %}
from jobs.tasks import add, slow
{% endif %}
from tests.waiting import wait_for


def test_a_worker_adds_two_numbers(worker):
    sent = add.delay(4, 5)

    outcome = wait_for(lambda: (now := outcome_of(sent.id)).finished and now, "the result of add(4, 5)")

    assert (outcome.state, outcome.result) == ("SUCCESS", 9)


def test_a_task_that_nobody_works_on_is_pending(transactional_db):
    assert outcome_of("00000000-0000-0000-0000-000000000000").state == "PENDING"
{% if cookiecutter.result_backend != "none" %}


def test_a_task_that_fails_says_why(worker):
    sent = add.delay(4, None)

    outcome = wait_for(lambda: (now := outcome_of(sent.id)).finished and now, "the failure of add(4, None)")

    assert outcome.state == "FAILURE"
    assert "unsupported operand" in outcome.result
{% endif %}


def test_a_slow_task_leaves_a_trace(worker):
    sent = slow.delay(0.01)

    trace = wait_for(lambda: Trace.objects.filter(task_id=sent.id).first(), "the trace of slow(0.01)")

    assert (trace.task, trace.result) == ("jobs.tasks.slow", 0.01)


def test_a_message_that_is_delivered_twice_leaves_one_trace(worker):
    for _ in range(2):
        slow.apply_async((0.01,), task_id="the-same")
    last = slow.delay(0.01)

    wait_for(lambda: Trace.objects.filter(task_id=last.id).exists(), "the third task")

    assert Trace.objects.filter(task_id="the-same").count() == 1
{% if cookiecutter.beat %}


def test_a_tick_deletes_the_ticks_of_more_than_a_day_ago(worker):
    for name, days in [("old", 2), ("recent", 0)]:
        finished_at = timezone.now() - timedelta(days=days)
        Trace.objects.create(task_id=name, task=tick.name, worker="gone", finished_at=finished_at)

    sent = tick.delay()
    wait_for(lambda: not Trace.objects.filter(task_id="old").exists(), "the deletion of the old tick")

    assert set(Trace.objects.values_list("task_id", flat=True)) == {"recent", sent.id}
{% endif %}


def test_a_misspelt_queue_is_an_error_for_the_one_who_sends():
    with pytest.raises(QueueNotFound):
        add.apply_async((4, 5), queue="defualt")


def test_tasks_are_not_executed_in_the_process_that_sends_them():
    assert not app.conf.task_always_eager
