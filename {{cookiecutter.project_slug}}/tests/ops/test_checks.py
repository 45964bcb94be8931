"""Times and connection counts that do not fit together are refused: ops/checks.py."""

from types import SimpleNamespace

import pytest
from celery import shared_task
from django.core.checks import run_checks

from config.settings.celery import queue
from ops import checks
from ops.celery.worker_pool import WorkerPool


@shared_task(time_limit=20)
def brief() -> None:
    """A task whose limit a test changes."""


@shared_task
def plain() -> None:
    """A task without a limit of its own."""


def found() -> list[str]:
    return [message.id for message in run_checks() if message.id.startswith("ops.")]


def test_the_settings_fit_together():
    assert found() == []


def test_a_worker_needs_time_to_stop(settings):
    settings.STOP_GRACE_SECONDS, settings.DRAIN_SECONDS = 25, 5

    assert found() == ["ops.E001"]


def test_a_task_may_not_run_for_so_long_that_its_message_is_delivered_again(settings, monkeypatch):
    settings.MAX_TASK_TIME_LIMIT = 450
    monkeypatch.setattr(brief, "time_limit", 450)

    assert found() == ["ops.E002"]
    (error,) = checks.check_time_limits(None)
    assert error.msg == f"task {brief.name}: a time limit of 450 seconds is too long"
    assert "MAX_TASK_TIME_LIMIT, which is 450 seconds" in error.hint


@pytest.mark.parametrize("limit", [300, 449])
def test_a_shorter_limit_is_fine(settings, monkeypatch, limit):
    settings.MAX_TASK_TIME_LIMIT = 450
    monkeypatch.setattr(brief, "time_limit", limit)

    assert found() == []


def test_a_task_without_a_limit_of_its_own_has_the_one_of_the_settings(settings):
    settings.MAX_TASK_TIME_LIMIT = settings.CELERY_TASK_TIME_LIMIT

    errors = {error.msg for error in checks.check_time_limits(None)}

    assert f"task {plain.name}: a time limit of {settings.CELERY_TASK_TIME_LIMIT} seconds is too long" in errors
    assert not any(brief.name in error for error in errors)


# --- Queues and threads ------------------------------------------------------------------------------------------


def test_a_task_whose_queue_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setattr(brief, "queue", "defualt", raising=False)

    (error,) = checks.check_queues(None)

    assert found() == ["ops.E006"]
    assert error.msg == f"task {brief.name}: no queue is called 'defualt'"


def test_a_queue_without_workers_is_refused(settings):
    settings.WORKER_POOLS = {"worker-fast": WorkerPool(concurrency=2, replicas=1, queues=("fast",))}
    settings.CELERY_TASK_QUEUES = [queue("fast"), queue("slow")]

    (error,) = checks.check_queues(None)

    assert error.id == "ops.E005"
    assert error.msg == "no worker consumes the queue 'slow'"


def test_a_task_in_a_thread_may_not_count_on_a_time_limit(settings, monkeypatch):
    settings.WORKER_POOLS = {"worker-threads": WorkerPool(concurrency=20, replicas=1, has_threads=True)}

    message = f"task {brief.name}: its queue belongs to workers with threads, which have no time limits"

    assert message in [error.msg for error in checks.check_threads(None)]
    assert "ops.E007" in found()
    monkeypatch.setattr(brief, "time_limit", settings.CELERY_TASK_TIME_LIMIT)
    assert message not in [error.msg for error in checks.check_threads(None)]
    monkeypatch.setattr(brief, "soft_time_limit", 10)
    assert message in [error.msg for error in checks.check_threads(None)]


def test_a_task_of_another_queue_may_have_a_time_limit(settings):
    settings.WORKER_POOLS = {
        "worker": WorkerPool(concurrency=2, replicas=1, queues=(settings.CELERY_TASK_DEFAULT_QUEUE,)),
        "worker-threads": WorkerPool(concurrency=20, replicas=1, queues=("io",), has_threads=True),
    }

    assert checks.check_threads(None) == []


# --- The schedule ------------------------------------------------------------------------------------------------


def test_an_entry_of_the_schedule_whose_task_does_not_exist_is_refused(settings):
    settings.CELERY_BEAT_SCHEDULE = {
        "right": {"task": brief.name, "schedule": 60},
        "misspelt": {"task": "accounts.tasks.clear_session", "schedule": 60},
        "without a task": {"schedule": 60},
    }

    first, second = checks.check_schedule(None)

    assert found() == ["ops.E004", "ops.E004"]
    assert first.msg == "CELERY_BEAT_SCHEDULE: misspelt: there is no task accounts.tasks.clear_session"
    assert "accounts.tasks.clear_sessions" in first.hint
    assert second.msg == "CELERY_BEAT_SCHEDULE: without a task: there is no task None"


def test_the_entries_of_the_schedule_may_name_tasks_of_celery_itself(settings):
    settings.CELERY_BEAT_SCHEDULE = {"clean-up": {"task": "celery.backend_cleanup", "schedule": 60}}

    assert found() == []


# --- Connections to PostgreSQL -----------------------------------------------------------------------------------


@pytest.fixture
def postgresql(settings, monkeypatch):
    """The settings of a site on PostgreSQL that needs 26 connections."""
    monkeypatch.setattr(checks, "connection", SimpleNamespace(vendor="postgresql"))
    settings.POSTGRES_CONNECTIONS = {"web": 16, "worker": 10}
    settings.SUPERUSER_RESERVED_CONNECTIONS = 3
    settings.POSTGRES_MAX_CONNECTIONS = 100
    return settings


def test_there_are_connections_for_every_service(postgresql):
    assert found() == []


def test_one_connection_too_few_is_refused_with_the_share_of_each_service(postgresql):
    postgresql.POSTGRES_MAX_CONNECTIONS = 26 + 3
    assert found() == []

    postgresql.POSTGRES_MAX_CONNECTIONS -= 1
    assert found() == ["ops.E003"]
    (error,) = checks.check_connections(None)
    assert error.msg == "26 connections to PostgreSQL may be needed but only 25 are available: web 16, worker 10"


def test_the_connections_of_another_database_are_not_counted(postgresql, monkeypatch):
    monkeypatch.setattr(checks, "connection", SimpleNamespace(vendor="sqlite"))
    postgresql.POSTGRES_MAX_CONNECTIONS = 4

    assert found() == []
