"""`manage.py check` finds settings of jobs that do not fit together: jobs/checks.py."""

from django.core.checks import run_checks


def errors() -> list[str]:
    return [error.msg for error in run_checks() if error.id.startswith("jobs.")]


def test_the_settings_of_the_project_are_fine():
    assert errors() == []


def test_a_queue_that_nobody_reads_is_found(define):
    @define(queue="defualt")
    def lost():
        pass

    assert errors() == ["job lost: no queue is called 'defualt'"]


def test_a_dead_workers_job_does_not_wait_longer_than_a_living_workers_job_may_run(settings):
    settings.JOBS_LEASE_SECONDS = settings.CELERY_TASK_TIME_LIMIT

    assert errors() == [f"JOBS_LEASE_SECONDS={settings.CELERY_TASK_TIME_LIMIT} is too long"]


def test_a_time_limit_that_the_broker_does_not_wait_for_is_found(define, settings):
    @define(time_limit=int(settings.MAX_TASK_TIME_LIMIT))
    def endless():
        pass

    assert errors() == [f"job endless: a time limit of {int(settings.MAX_TASK_TIME_LIMIT)} seconds is too long"]
