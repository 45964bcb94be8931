"""A job's status changes in one step, and a worker can only change that of a job that it holds: jobs/lifecycle.py."""

import pytest
from django.db import connection

from jobs import dispatcher, lifecycle, submit
from jobs.attempt import Attempt, Progress
from jobs.exceptions import LeaseLost
from jobs.executor import execute
from jobs.models import Job
from ops.celery import dead_letters, threads
from tests.jobs.helpers import expire_lease
from tests.jobs.threads import results_of
from tests.support.waiting import wait_for

# --- Workers that die ---------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_job_of_a_dead_worker_is_published_again(published):
    job = submit("multiply", x=4, y=5)
    dispatcher.publish_due_jobs()
    expire_lease(lifecycle.claim(job.pk))

    lifecycle.recover_expired_leases()
    dispatcher.publish_due_jobs()
    execute(published[1])

    job.refresh_from_db()
    assert published == [str(job.pk)] * 2
    assert (job.status, job.result, job.attempts) == ("succeeded", 20, 2)


@pytest.mark.django_db(transaction=True)
def test_a_job_whose_workers_die_each_time_fails_in_the_end_and_says_why(published):
    job = submit("multiply", x=4, y=5)
    for _ in range(job.max_attempts):
        expire_lease(lifecycle.claim(job.pk))
        lifecycle.recover_expired_leases()

    job.refresh_from_db()
    assert (job.status, job.attempts) == ("failed", job.max_attempts)
    assert "its worker died" in job.error
    assert "last attempt" in job.error


@pytest.mark.django_db(transaction=True)
def test_a_lease_that_expires_during_a_recovery_does_not_lead_to_more_than_max_attempts(published):
    first, second = (submit("multiply", x=4, y=5) for _ in range(2))
    Job.objects.update(max_attempts=1)
    expire_lease(lifecycle.claim(first.pk))
    lifecycle.claim(second.pk)
    statements = []

    def let_it_expire(run, *statement):
        result = run(*statement)
        statements.append(statement[0])
        if len(statements) == 1:
            expire_lease(second)
        return result

    with connection.execute_wrapper(let_it_expire):
        lifecycle.recover_expired_leases()
    assert Job.objects.get(pk=second.pk).status != "waiting"
    lifecycle.recover_expired_leases()

    assert [job.status for job in Job.objects.all()] == ["failed", "failed"]


@pytest.mark.django_db(transaction=True)
def test_the_job_of_a_process_that_was_killed_is_published_again_at_once(published):
    job = submit("multiply", x=4, y=5)
    dispatcher.publish_due_jobs()
    lifecycle.claim(job.pk, "task 1")
    other = lifecycle.claim(submit("multiply", x=1, y=1).pk, "task 2")

    dead_letters.process_lost.send(sender=None, task_id="task 1")
    wait_for(lambda: Job.objects.filter(pk=job.pk, status="waiting").exists(), "the recovery")
    dispatcher.publish_due_jobs()

    job.refresh_from_db()
    assert published == [str(job.pk)] * 2
    assert job.error == "its process died"
    assert Job.objects.get(pk=other.pk).status == "running"


@pytest.mark.django_db(transaction=True)
def test_a_job_that_kills_its_process_each_time_fails_in_the_end_and_says_why(published):
    job = submit("multiply", x=4, y=5)
    for number in range(job.max_attempts):
        lifecycle.claim(job.pk, f"task {number}")
        lifecycle.recover_from_lost_process(f"task {number}")

    job.refresh_from_db()
    assert (job.status, job.attempts) == ("failed", job.max_attempts)
    assert job.error == "its process died, at the last attempt"


@pytest.mark.django_db(transaction=True)
def test_jobs_in_threads_wait_again_when_the_worker_ends_before_them(published):
    job = submit("multiply", x=4, y=5)
    claimed = lifecycle.claim(str(job.pk))

    with Attempt(claimed, renew=lambda job, progress: False):
        threads.threads_abandoned.send(sender=None)
    threads.threads_abandoned.send(sender=None)  # no job runs any more

    row = Job.objects.get(pk=job.pk)
    assert (row.status, row.attempts, row.interruptions) == (Job.Status.WAITING, 1, 1)


@pytest.mark.django_db
def test_the_job_of_a_living_worker_is_not_recovered():
    job = lifecycle.claim(submit("multiply", x=4, y=5).pk)

    assert lifecycle.recover_expired_leases() == 0
    assert not lifecycle.renew_lease(job, Progress(1, 2, "rows"))
    job.refresh_from_db()
    assert (job.done, job.total, job.note) == (1, 2, "rows")


@pytest.mark.django_db
def test_an_attempt_that_has_lost_its_lease_changes_nothing():
    late = lifecycle.claim(submit("multiply", x=4, y=5).pk)
    expire_lease(late)
    lifecycle.recover_expired_leases()
    job = lifecycle.claim(late.pk)

    with pytest.raises(LeaseLost, match="attempt 1 has lost its lease"):
        lifecycle.renew_lease(late, Progress(1, 2))
    with pytest.raises(LeaseLost, match="attempt 1 has lost its lease"):
        lifecycle.mark_succeeded(late, 20, "", Progress())
    lifecycle.mark_failed(late, "too late")
    lifecycle.mark_cancelled(late)
    lifecycle.schedule_retry(late, "too late")
    lifecycle.release(late)

    columns = ["status", "attempts", "done", "result", "error", "lease_expires_at", "run_after"]
    assert Job.objects.values(*columns).get() == {name: getattr(job, name) for name in columns}


# --- Cancelling ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_waiting_job_that_is_cancelled_never_starts(published):
    job = submit("multiply", x=4, y=5)
    dispatcher.publish_due_jobs()

    assert lifecycle.cancel(job).status == "cancelled"
    execute(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.attempts) == ("cancelled", 0)


@pytest.mark.django_db(transaction=True)
def test_a_running_job_that_was_cancelled_does_not_start_again_when_its_worker_dies(published):
    job = submit("multiply", x=4, y=5)
    claimed = lifecycle.claim(job.pk)
    lifecycle.cancel(job)
    expire_lease(claimed)

    lifecycle.recover_expired_leases()

    assert Job.objects.get(pk=job.pk).status == "cancelled"


@pytest.mark.django_db(transaction=True)
def test_of_cancelling_and_starting_at_the_same_moment_one_wins(published):
    for _ in range(20):
        job = submit("multiply", x=4, y=5)
        claimed, cancelled = results_of(lambda job=job: lifecycle.claim(job.pk), lambda job=job: lifecycle.cancel(job))
        assert (claimed is None) == (cancelled.status == "cancelled")


@pytest.mark.django_db(transaction=True)
def test_a_finished_job_is_not_cancelled(published):
    job = submit("multiply", x=4, y=5)
    execute(str(job.pk))

    assert lifecycle.cancel(job).status == "succeeded"


# --- Retrying -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_failed_job_that_is_retried_has_all_its_attempts_again(define, published):
    answers = iter([ValueError, None])

    @define(max_attempts=2)
    def call():
        if error := next(answers):
            raise error
        return "done"

    job = submit("call")
    execute(str(job.pk))
    assert lifecycle.retry(job)
    execute(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.result, job.error, job.attempts, job.max_attempts) == ("succeeded", "done", "", 2, 3)
    assert not lifecycle.retry(job)
