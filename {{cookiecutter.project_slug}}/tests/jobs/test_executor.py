"""An attempt at a job runs once, and its row says how it ended: jobs/executor.py."""

import asyncio
import re
import signal
import threading
import time
from contextlib import suppress
from datetime import timedelta

import billiard.common
import psycopg
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.contrib.auth.models import Group
from django.core.files.storage import default_storage
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from jobs import dispatcher, lifecycle, output, registry, submit
from jobs.executor import execute
from jobs.models import Job
from ops.request_id import REQUEST_ID
from tests.jobs.helpers import expire_lease
from tests.jobs.threads import results_of

# --- Once ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_with_the_same_message_one_runs_the_job(define, published):
    started = []

    @define()
    def note():
        started.append(threading.get_ident())
        time.sleep(0.2)

    job = submit("note")

    results_of(*[lambda: execute(str(job.pk))] * 8)

    assert len(started) == 1
    assert Job.objects.get(pk=job.pk).attempts == 1


@pytest.mark.django_db(transaction=True)
def test_a_message_that_comes_again_after_the_end_does_nothing(define, published):
    started = []

    @define()
    def note():
        started.append(1)

    job = submit("note")
    execute(str(job.pk))
    execute(str(job.pk))

    assert started == [1]


@pytest.mark.django_db(transaction=True)
def test_a_message_of_a_job_that_was_deleted_does_nothing(published):
    job = submit("multiply", x=4, y=5)
    Job.objects.all().delete()

    execute(str(job.pk))

    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_a_job_writes_and_its_success_are_one_transaction(define, published):
    @define()
    def write():
        Group.objects.create(name="written")

    job = submit("write")
    execute(str(job.pk))

    assert Job.objects.get(pk=job.pk).status == "succeeded"
    assert Group.objects.filter(name="written").exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("atomic", [True, False])
def test_a_worker_that_comes_back_too_late_writes_nothing(define, published, caplog, atomic):
    @define(atomic=atomic)
    def slow():
        Group.objects.create(name=f"attempt {Job.objects.get().attempts}")
        if Job.objects.get().attempts == 1:
            # This worker hung, and meanwhile another one has claimed the job. The claim runs in a thread, so that it
            # has its own transaction.
            def claim_elsewhere():
                expire_lease(job)
                lifecycle.recover_expired_leases()
                lifecycle.claim(job.pk)

            if transaction.get_connection().vendor == "sqlite" and atomic:
                claim_elsewhere()
            else:
                results_of(claim_elsewhere)
        return "late"

    job = submit("slow")
    execute(str(job.pk))

    job.refresh_from_db()
    assert "attempt 1 has lost its lease" in caplog.text
    assert job.result is None
    if atomic:
        assert not Group.objects.exists()


# --- Further jobs without a message -------------------------------------------------------------------------------


@pytest.fixture
def ran(define):
    """The numbers of the jobs that ran, of the kinds `note` and `other`."""
    numbers = []

    @define()
    def note(number):
        numbers.append(number)

    @define()
    def other(number):
        numbers.append(number)

    return numbers


@pytest.mark.django_db(transaction=True)
def test_a_worker_goes_on_with_the_next_jobs_in_the_order_in_which_they_became_due(ran, published):
    jobs = [submit("note", number=number) for number in range(5)]

    execute(str(jobs[0].pk))

    assert ran == [0, 1, 2, 3, 4]
    assert set(Job.objects.values_list("status", "attempts")) == {("succeeded", 1)}


@pytest.mark.django_db(transaction=True)
def test_a_worker_goes_on_only_with_a_job_of_the_same_kind_and_owner_that_is_due(ran, published, ada, grace):
    first = submit("note", number=0, owner=ada)
    submit("note", number=1, owner=ada, run_after=timedelta(hours=1))
    lifecycle.cancel(submit("note", number=2, owner=ada))
    submit("note", number=3, owner=grace)
    submit("note", number=4)
    Job.objects.filter(pk=submit("note", number=5, owner=ada).pk).update(published_at=timezone.now())
    Job.objects.filter(pk=submit("note", number=6, owner=ada).pk).update(queue="elsewhere")
    submit("other", number=7, owner=ada)
    submit("note", number=8, owner=ada)  # behind a job of another kind

    execute(str(first.pk))

    assert ran == [0]


@pytest.mark.django_db(transaction=True)
def test_a_worker_whose_turn_is_over_takes_a_message_again(ran, published, settings):
    settings.JOBS_TURN_SECONDS = 0
    jobs = [submit("note", number=number) for number in range(2)]

    execute(str(jobs[0].pk))

    assert ran == [0]


@pytest.mark.django_db(transaction=True)
def test_a_job_that_does_not_succeed_ends_the_turn(define, published):
    @define(retry_on=(ConnectionError,))
    def call(number):
        raise ConnectionError("no route to host")

    jobs = [submit("call", number=number) for number in range(2)]
    execute(str(jobs[0].pk))

    assert [Job.objects.get(pk=job.pk).attempts for job in jobs] == [1, 0]


@pytest.mark.django_db(transaction=True)
def test_workers_beside_each_other_run_each_of_the_next_jobs_once(ran, published, settings):
    settings.JOBS_TURN_SECONDS = 20
    jobs = [submit("note", number=number) for number in range(40)]

    results_of(*[lambda job=job: execute(str(job.pk)) for job in jobs[:4]])

    assert sorted(ran) == list(range(40))
    assert set(Job.objects.values_list("status", "attempts")) == {("succeeded", 1)}


@pytest.mark.django_db(transaction=True)
def test_the_log_names_the_request_of_each_job_and_how_long_it_took(define, published, caplog):
    seen = []

    @define()
    def note():
        seen.append(REQUEST_ID.get())

    jobs = []
    for number in range(2):
        token = REQUEST_ID.set(f"request-{number}")
        jobs.append(submit("note"))
        REQUEST_ID.reset(token)
    token = REQUEST_ID.set("request-0")  # as from the header of the message
    with caplog.at_level("INFO", logger="jobs.executor"):
        execute(str(jobs[0].pk))
    REQUEST_ID.reset(token)

    assert seen == ["request-0", "request-1"]
    for job in jobs:
        assert re.search(rf"job note {job.pk} succeeded in \d\.\d+ s", caplog.text)


# --- Stops and exits ----------------------------------------------------------------------------------------------


@pytest.fixture
def stop_worker(monkeypatch):
    """A function that does what SIGTERM does in a pool process: billiard's handler notes it and exits."""
    monkeypatch.setattr(billiard.common, "_should_have_exited", [False])
    # billiard resets the handler of the signal, so this is one that nothing else uses.
    return lambda: billiard.common._shutdown_cleanup(signal.SIGUSR2, None)


@pytest.fixture
def handle_alarm():
    """A function that sets what handles SIGALRM during the test."""
    before = signal.getsignal(signal.SIGALRM)
    yield lambda handle: signal.signal(signal.SIGALRM, handle)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.django_db(transaction=True)
def test_six_stops_use_up_no_attempt_and_the_job_succeeds_in_its_seventh_attempt(define, published, stop_worker):
    stops = iter([True] * 6 + [False])

    @define(max_attempts=2)
    def interrupted():
        if next(stops):
            stop_worker()
        return "done"

    job = submit("interrupted")
    for number in range(1, 7):
        with pytest.raises(SystemExit):
            execute(str(job.pk))
        billiard.common.clear_terminate_handler_fired()  # as in the next process
        job.refresh_from_db()
        assert (job.status, job.error) == ("waiting", "its worker was stopped")
        assert (job.attempts, job.interruptions, job.counted_attempts) == (number, number, 0)
    execute(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.result, job.attempts, job.counted_attempts) == ("succeeded", "done", 7, 1)


@pytest.mark.django_db(transaction=True)
def test_a_stop_between_errors_does_not_change_how_many_attempts_there_are(define, published, stop_worker):
    ends = iter(["error", "stop", "error", "error"])

    @define(max_attempts=3, retry_on=(ConnectionError,))
    def unlucky():
        if next(ends) == "stop":
            stop_worker()
        raise ConnectionError("no route to host")

    job = submit("unlucky")
    statuses = []
    for _ in range(4):
        with suppress(SystemExit):
            execute(str(job.pk))
        billiard.common.clear_terminate_handler_fired()
        statuses.append(Job.objects.get(pk=job.pk).status)
        Job.objects.filter(pk=job.pk).update(run_after=timezone.now() - timedelta(seconds=1))

    assert statuses == ["waiting", "waiting", "waiting", "failed"]


@pytest.mark.django_db(transaction=True)
def test_a_process_ends_although_the_database_is_down_when_its_worker_is_stopped(
    define, published, stop_worker, monkeypatch, caplog
):
    def refuse(job):
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(lifecycle, "release", refuse)

    @define()
    def interrupted():
        stop_worker()

    job = submit("interrupted")

    with pytest.raises(SystemExit):
        execute(str(job.pk))

    assert "waits until its lease has expired: the connection is closed" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_job_is_released_although_its_clean_up_used_the_connection_of_an_interrupted_query(
    define, published, stop_worker, handle_alarm
):
    """PostgreSQL still works on the query, so the clean-up's own query fails, and its error hides the stop."""

    @define(atomic=False)
    def careless():
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(30)" if connection.vendor == "postgresql" else "SELECT 1")
            threading.Event().wait(30)
        finally:
            Group.objects.count()

    handle_alarm(lambda number, frame: stop_worker())
    job = submit("careless")
    with pytest.raises(SystemExit):
        execute(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.interruptions) == ("waiting", 1)


@pytest.mark.django_db(transaction=True)
def test_a_job_whose_clean_up_raises_an_error_after_a_stop_is_released(define, published, stop_worker):
    @define()
    def careless():
        try:
            stop_worker()
        finally:
            raise ValueError("closed file")

    job = submit("careless")
    with pytest.raises(SystemExit):  # the process must end in any case
        execute(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.counted_attempts) == ("waiting", 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize(("reason", "status"), [("stop", "waiting"), ("time limit", "failed")])
def test_a_signal_in_the_middle_of_a_query_ends_the_attempt_at_once(
    define, published, stop_worker, handle_alarm, reason, status, atomic
):
    """PostgreSQL is still executing the query, so its connection accepts no other query. SQLite finishes its query
    first.
    """

    def handle(number, frame):
        if reason == "time limit":
            raise SoftTimeLimitExceeded
        stop_worker()

    @define(atomic=atomic)
    def query():
        with output("half.txt") as file:
            file.write(b"half")
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(30)" if connection.vendor == "postgresql" else "SELECT 1")
        threading.Event().wait(30)

    handle_alarm(handle)
    job = submit("query")
    with suppress(SystemExit):
        execute(str(job.pk))

    job.refresh_from_db()
    assert job.status == status
    assert default_storage.listdir(f"jobs/{job.pk}/1") == ([], [])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()], ids=repr)
def test_a_function_that_exits_has_failed_and_its_process_goes_on(define, published, monkeypatch, error):
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_IGN)  # a pool process ignores Ctrl-C

    @define()
    def leave():
        Group.objects.create(name="written")
        raise error

    job = submit("leave")
    execute(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.attempts, job.interruptions) == ("failed", 1, 0)
    assert job.error.startswith(type(error).__name__)
    assert not Group.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_ctrl_c_in_a_process_that_runs_jobs_itself_is_a_stop(define, published, with_ctrl_c):
    @define()
    def long():
        raise KeyboardInterrupt

    job = submit("long")
    with pytest.raises(KeyboardInterrupt):
        execute(str(job.pk))

    assert Job.objects.get(pk=job.pk).status == "waiting"


@pytest.mark.django_db(transaction=True)
def test_a_job_that_ignores_its_soft_time_limit_does_not_run_again(define, published, settings, stop_worker):
    """At the hard limit Celery sends the signal with which it also stops a process."""
    settings.CELERY_TASK_SOFT_TIME_LIMIT = 0

    @define()
    def stubborn():
        stop_worker()

    job = submit("stubborn")
    with pytest.raises(SystemExit):
        execute(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.error) == ("failed", "it took longer than 0 seconds")


# --- Errors -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_error_that_may_pass_is_retried_later_and_later(define, published):
    @define(retry_on=(ConnectionError,), max_attempts=4)
    def call():
        raise ConnectionError("no route to host")

    job = submit("call")
    delays = []
    for attempt in range(1, 4):
        execute(str(job.pk))
        job.refresh_from_db()
        assert (job.status, job.attempts, job.error) == ("waiting", attempt, "ConnectionError: no route to host")
        delays.append((job.run_after - job.started_at).total_seconds())
        execute(str(job.pk))  # does nothing, because the job is not due yet
        Job.objects.filter(pk=job.pk).update(run_after=timezone.now() - timedelta(seconds=1))
    execute(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.attempts) == ("failed", 4)
    assert all(1 <= delay <= 2 + 2 * 2**attempt for attempt, delay in enumerate(delays, 1))


@pytest.mark.django_db(transaction=True)
def test_a_lost_database_connection_is_retried_even_if_retry_on_does_not_name_it(define, published):
    @define()
    def query():
        raise OperationalError("server closed the connection unexpectedly")

    job = submit("query")
    execute(str(job.pk))

    assert Job.objects.get(pk=job.pk).status == "waiting"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("cause", "atomic", "status"),
    [
        (psycopg.errors.AdminShutdown(), False, "waiting"),
        (psycopg.errors.DeadlockDetected(), True, "waiting"),
        (psycopg.errors.DeadlockDetected(), False, "failed"),  # what it wrote before the deadlock was not rolled back
        (psycopg.errors.SerializationFailure(), True, "waiting"),
        (psycopg.errors.QueryCanceled(), True, "failed"),
    ],
)
def test_an_error_of_the_database_is_retried_if_it_is_likely_to_pass(define, published, cause, atomic, status):
    @define(atomic=atomic)
    def query():
        raise OperationalError(cause) from cause

    job = submit("query")
    execute(str(job.pk))

    assert Job.objects.get(pk=job.pk).status == status


@pytest.mark.django_db(transaction=True)
def test_a_job_may_ask_for_another_attempt_after_its_time_limit(define, published):
    @define(retry_on=(SoftTimeLimitExceeded,))
    def long():
        raise SoftTimeLimitExceeded

    job = submit("long")
    execute(str(job.pk))

    assert Job.objects.get(pk=job.pk).status == "waiting"


@pytest.mark.django_db(transaction=True)
def test_any_other_error_ends_the_job_and_takes_back_what_it_wrote(define, published):
    @define(retry_on=(ConnectionError,))
    def write():
        Group.objects.create(name="written")
        with output("half.txt") as file:
            file.write(b"half")
        raise ValueError("no such customer\0")

    job = submit("write")
    execute(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.error, job.output.name) == ("failed", "ValueError: no such customer", "")
    assert not Group.objects.exists()
    assert default_storage.listdir(f"jobs/{job.pk}/1") == ([], [])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("atomic", "when"),
    [
        (True, "before the end"),
        (False, "before the end"),
        (True, "after the commit"),  # False has no such case, because without a transaction there is no commit
        (True, "never"),
        (False, "never"),
    ],
)
def test_a_job_keeps_its_file_if_and_only_if_its_row_names_it(define, published, caplog, atomic, when):
    def refuse():
        raise ValueError("the cache does not answer")

    @define(atomic=atomic)
    def write():
        for name in ("draft.txt", "report.txt"):
            with output(name) as file:
                file.write(b"text")
        if when == "before the end":
            refuse()
        if when == "after the commit":
            transaction.on_commit(refuse)

    job = submit("write")
    execute(str(job.pk))

    job.refresh_from_db()
    assert job.status == ("failed" if when == "before the end" else "succeeded")
    files = default_storage.listdir(f"jobs/{job.pk}/1")[1]
    assert files == ([] if when == "before the end" else ["report.txt"])
    assert job.output.name == (f"jobs/{job.pk}/1/report.txt" if files else "")
    assert ("an error after its end" in caplog.text) == (when == "after the commit")


@pytest.mark.django_db(transaction=True)
def test_a_result_that_is_not_json_ends_the_job(define, published):
    @define()
    def compute():
        return {1, 2}

    job = submit("compute")
    execute(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.error) == ("failed", "TypeError: Object of type set is not JSON serializable")


@pytest.mark.django_db(transaction=True)
def test_a_job_that_takes_too_long_says_so(define, published):
    @define(time_limit=10)
    def long():
        raise SoftTimeLimitExceeded

    job = submit("long")
    execute(str(job.pk))

    assert Job.objects.get(pk=job.pk).error == "it took longer than 9 seconds"


@pytest.mark.django_db(transaction=True)
def test_a_kind_that_this_worker_does_not_know_waits_for_one_that_does(define, published):
    define()(added_yesterday)
    job = submit("added_yesterday")
    del registry._kinds["added_yesterday"]

    dispatcher.publish_due_jobs()
    execute(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.attempts) == ("waiting", 1)
    assert "no job is called 'added_yesterday'" in job.error


def added_yesterday():
    pass
