"""`manage.py check` finds settings of jobs that do not fit together: jobs/checks.py."""

import pytest
from django import forms
from django.core.checks import run_checks

from config.settings.celery import queue
from ops.celery.worker_pool import WorkerPool
from tests.jobs import fields


def in_a_process():
    pass


def in_a_thread():
    pass


def without_limit():
    pass


def errors() -> list[str]:
    return [error.msg for error in run_checks() if error.id.startswith("jobs.")]


def test_the_settings_of_the_project_are_fine():
    assert errors() == []


@pytest.mark.parametrize("queue", ["defualt", "test.jobs"])
def test_a_kind_that_names_an_unknown_queue_is_found(define, queue):
    """`test.jobs` carries the messages for the jobs of `test`. A kind may name only `test`."""

    @define(queue=queue)
    def lost():
        pass

    assert errors() == [f"job lost: no queue is called {queue!r}"]


def test_a_job_in_a_thread_may_not_count_on_a_time_limit(define, settings):
    settings.WORKER_POOLS = {
        "worker": WorkerPool(concurrency=2, replicas=1, queues=("test",)),
        "worker-threads": WorkerPool(concurrency=20, replicas=1, queues=("io",), has_threads=True),
    }
    settings.CELERY_TASK_QUEUES = [queue("test"), queue("io")]

    define(time_limit=60)(in_a_process)
    define(queue="io", time_limit=60)(in_a_thread)
    define(queue="io")(without_limit)

    assert errors() == ["job in_a_thread: its queue belongs to workers with threads, which have no time limits"]


def test_a_lease_that_is_not_shorter_than_the_time_limit_is_found(settings):
    settings.JOBS_LEASE_SECONDS = settings.CELERY_TASK_TIME_LIMIT

    assert errors() == [f"JOBS_LEASE_SECONDS={settings.CELERY_TASK_TIME_LIMIT} is too long"]


def test_a_time_limit_that_is_too_long_for_the_broker_is_found(define, settings):
    @define(time_limit=int(settings.MAX_TASK_TIME_LIMIT))
    def endless():
        pass

    assert errors() == [f"job endless: a time limit of {int(settings.MAX_TASK_TIME_LIMIT)} seconds is too long"]


def test_a_time_limit_that_is_too_long_for_a_job_at_the_end_of_a_turn_is_found(define, settings):
    settings.JOBS_TURN_SECONDS = 30

    @define(time_limit=int(settings.MAX_TASK_TIME_LIMIT) - 10)
    def endless():
        pass

    assert len(errors()) == 1


def test_a_field_whose_value_cannot_be_kept_is_found(define):
    class SizeForm(forms.Form):
        size = forms.TypedChoiceField(choices=[("s", "Small")], coerce=lambda key: {key})
        since = forms.DateField(initial=lambda: 1 / 0)
        kind = forms.TypedChoiceField(choices=lambda: 1 / 0, coerce=lambda key: {key})
        marks = forms.TypedMultipleChoiceField(choices=[("r", "Red")], coerce=lambda key: {key})

    @define(form=SizeForm)
    def resize(size, since, marks):
        pass

    assert errors() == [
        "job resize: the value of the form's field 'size' can't be kept as JSON: set {'s'} is not JSON",
        "job resize: the value of the form's field 'marks' can't be kept as JSON: set {'r'} is not JSON",
    ]


@pytest.mark.django_db
def test_the_fields_of_django_are_fine(define):
    fields.define_kind(define, fields.examples())

    assert errors() == []
