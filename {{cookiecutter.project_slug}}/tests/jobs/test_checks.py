"""Jobs that would wait for ever, or too long, are refused: jobs/checks.py."""

from dataclasses import replace

from django.core.checks import run_checks

from jobs import registry


def found() -> list[str]:
    return [message.id for message in run_checks() if message.id.startswith("jobs.")]


def test_the_settings_and_kinds_fit_together():
    assert found() == []


def test_the_queue_of_a_kind_is_one_that_workers_consume(monkeypatch):
    misspelt = replace(registry.get("add"), queue="defualt")
    monkeypatch.setitem(registry._kinds, "add", misspelt)

    assert found() == ["jobs.E001"]


def test_a_dead_workers_job_does_not_wait_longer_than_a_living_ones_may_run(settings):
    settings.JOBS_LEASE_SECONDS = settings.CELERY_TASK_TIME_LIMIT

    assert found() == ["jobs.E002"]
