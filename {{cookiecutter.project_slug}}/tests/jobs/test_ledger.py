"""Jobs are not lost and are worked on once: jobs/ledger.py, jobs/worker.py, jobs/sweep.py."""

import os
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DatabaseError, OperationalError, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from config.celery import app
from config.settings.base import BASE_DIR
from config.settings.celery import queue as celery_queue
from jobs import ledger, output, progress, registry, submit, sweep
from jobs.models import Job, Trace
from jobs.tasks import work as task
from jobs.worker import work
from ops.logs import REQUEST_ID
from tests.jobs.threads import in_threads, results_of
from tests.waiting import wait_for


@pytest.fixture
def sent(monkeypatch):
    """The ids of the jobs that were given to the broker, which drops them."""
    ids = []
    monkeypatch.setattr(task, "apply_async", lambda arguments, **options: ids.append(arguments[0]))
    return ids


def ended(job, seconds=20):
    """Return the job when it has finished."""
    wait_for(lambda: Job.objects.get(pk=job.pk).finished, f"the end of {job}", seconds)
    return Job.objects.get(pk=job.pk)


def let_lease_end(job):
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


# --- Submitting ---------------------------------------------------------------------------------------------------


def test_a_job_is_published_worked_on_and_its_result_written(sweeping):
    job = ended(submit("add", x=4, y=5))

    assert (job.status, job.result, job.attempts, job.error) == ("succeeded", 9, 1, "")
    assert job.created_at <= job.started_at <= job.finished_at


def test_two_hundred_jobs_all_finish(sweeping):
    jobs = [submit("add", x=number, y=1) for number in range(200)]

    wait_for(lambda: not Job.objects.exclude(status="succeeded").exists(), "the end of 200 jobs", seconds=60)

    assert set(Job.objects.values_list("result", flat=True)) == {number + 1 for number in range(len(jobs))}


@pytest.mark.parametrize("key", ["", "order-1"])
def test_a_job_works_for_the_request_that_submitted_it(define, sweeping, key):
    @define()
    def ask():
        return REQUEST_ID.get()

    token = REQUEST_ID.set("request-1")
    job = submit("ask", key=key)
    REQUEST_ID.reset(token)

    assert ended(job).result == "request-1"


@pytest.mark.django_db(transaction=True)
def test_a_job_of_a_transaction_that_rolls_back_is_never_published(sent):
    with transaction.atomic():
        submit("add", x=4, y=5)
        transaction.set_rollback(True)

    sweep.publish()

    assert sent == []
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_job_is_not_published_before_its_transaction_is_committed(sent):
    with transaction.atomic():
        job = submit("add", x=4, y=5)
        if transaction.get_connection().vendor != "sqlite":  # where only one may write at a time
            results_of(sweep.publish)
            assert sent == []

    sweep.publish()

    assert sent == [str(job.pk)]


@pytest.mark.django_db
def test_submitting_does_not_talk_to_the_broker(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("submit() reached the broker")

    monkeypatch.setattr(app, "send_task", refuse)
    monkeypatch.setattr(task, "apply_async", refuse)
    monkeypatch.setattr("kombu.Connection.connect", refuse)

    assert submit("add", x=4, y=5).status == "waiting"


@pytest.mark.django_db(transaction=True)
def test_a_job_waits_while_the_broker_refuses_it_and_is_published_when_it_does_not(monkeypatch, sent, caplog):
    job = submit("add", x=4, y=5)
    take = task.apply_async

    def refuse(*arguments, **options):
        raise BrokerError("connection refused")

    monkeypatch.setattr(task, "apply_async", refuse)
    sweep.publish()
    assert Job.objects.get(pk=job.pk).published_at is None
    assert "connection refused" in caplog.text

    monkeypatch.setattr(task, "apply_async", take)
    sweep.publish()
    assert sent == [str(job.pk)]


@pytest.mark.django_db
def test_what_is_no_kind_or_does_not_fit_it_is_refused_at_once():
    with pytest.raises(registry.UnknownKind, match="no job is called 'nothing': there are add, "):
        submit("nothing")
    with pytest.raises(TypeError, match="missing a required argument: 'y'"):
        submit("add", x=4)
    assert not Job.objects.exists()


# --- Once ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_with_the_same_message_one_works(define, sent):
    started = []

    @define()
    def note():
        started.append(threading.get_ident())
        time.sleep(0.2)

    job = submit("note")

    results_of(*[lambda: work(str(job.pk))] * 8)

    assert len(started) == 1
    assert Job.objects.get(pk=job.pk).attempts == 1


@pytest.mark.django_db(transaction=True)
def test_a_message_that_comes_again_after_the_end_does_nothing(define, sent):
    started = []

    @define()
    def note():
        started.append(1)

    job = submit("note")
    work(str(job.pk))
    work(str(job.pk))

    assert started == [1]


@pytest.mark.django_db(transaction=True)
def test_sweeps_beside_each_other_publish_each_job_once(sent):
    jobs = {str(submit("add", x=number, y=0).pk) for number in range(50)}

    results_of(*[sweep.publish] * 4)
    sweep.publish()

    assert sorted(sent) == sorted(jobs)


@pytest.mark.django_db(transaction=True)
def test_the_same_key_of_the_same_owner_is_the_same_job(sent):
    ada, grace = (get_user_model().objects.create_user(name) for name in ("ada", "grace"))

    jobs = results_of(*[lambda: submit("add", x=4, y=5, owner=ada, key="order 7").pk] * 8)
    without_owner = results_of(*[lambda: submit("add", x=4, y=5, key="order 7").pk] * 8)

    assert len(set(jobs)) == len(set(without_owner)) == 1
    assert submit("add", x=4, y=5, owner=grace, key="order 7").pk not in {*jobs, *without_owner}
    assert Job.objects.count() == 3


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "arguments"), [("add", {"x": 4, "y": 6}), ("fibonacci", {"n": 4})])
def test_a_key_is_refused_for_another_job(kind, arguments):
    submit("add", x=4, y=5, key="order 7")

    with pytest.raises(ledger.KeyTaken, match="key 'order 7' belongs to another job, add "):
        submit(kind, key="order 7", **arguments)


# --- Workers that die ---------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_job_of_a_dead_worker_is_published_again(sent):
    job = submit("add", x=4, y=5)
    sweep.publish()
    let_lease_end(ledger.claim(job.pk))

    ledger.expire()
    sweep.publish()
    work(sent[1])

    job.refresh_from_db()
    assert sent == [str(job.pk)] * 2
    assert (job.status, job.result, job.attempts) == ("succeeded", 9, 2)


@pytest.mark.django_db(transaction=True)
def test_a_job_whose_workers_die_each_time_fails_in_the_end_and_says_why(sent):
    job = submit("add", x=4, y=5)
    for _ in range(job.max_attempts):
        let_lease_end(ledger.claim(job.pk))
        ledger.expire()

    job.refresh_from_db()
    assert (job.status, job.attempts) == ("failed", job.max_attempts)
    assert "its worker died" in job.error
    assert "last attempt" in job.error


@pytest.mark.django_db(transaction=True)
def test_a_running_job_keeps_its_lease(define, sent, settings):
    settings.JOBS_LEASE_SECONDS = 1

    @define(atomic=False)
    def long():
        time.sleep(2.5)
        return "done"

    job = submit("long")
    with in_threads(lambda: work(str(job.pk))) as (running,):
        while not running.done():
            assert ledger.expire() == 0
            time.sleep(0.05)

    job.refresh_from_db()
    assert (job.status, job.result, job.attempts) == ("succeeded", "done", 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("atomic", [True, False])
def test_a_worker_that_comes_back_too_late_writes_nothing(define, sent, caplog, atomic):
    @define(atomic=atomic)
    def slow():
        Trace.objects.create(task_id=f"attempt {Job.objects.get().attempts}", task="slow")
        if Job.objects.get().attempts == 1:
            # It hung, and another worker has the job now: in a thread, for a transaction of its own.
            def go_on_elsewhere():
                let_lease_end(job)
                ledger.expire()
                ledger.claim(job.pk)

            if transaction.get_connection().vendor == "sqlite" and atomic:
                go_on_elsewhere()
            else:
                results_of(go_on_elsewhere)
        return "late"

    job = submit("slow")
    work(str(job.pk))

    job.refresh_from_db()
    assert "attempt 1 has lost its claim" in caplog.text
    assert job.result is None
    if atomic:
        assert not Trace.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_stopped_gives_its_job_back(define, sent):
    @define()
    def interrupted():
        raise SystemExit

    job = submit("interrupted")
    with pytest.raises(SystemExit):
        work(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.error) == ("waiting", "its worker was stopped")


@pytest.fixture
def unread(transactional_db, define):
    """A queue of the real broker that no worker reads, with 30 published jobs in it. Bound to a channel."""
    define(queue="unread")(wait_in_vain)
    app.amqp.queues.add(celery_queue("unread"))
    with app.connection_for_write() as broker:
        queue = app.amqp.queues["unread"](broker.default_channel)
        queue.declare()
        queue.purge()
        for _ in range(30):
            submit("wait_in_vain")
        sweep.publish()
        wait_for(lambda: queue.queue_declare(passive=True).message_count == 30, "30 messages")
        yield queue
        queue.delete()
    del app.amqp.queues["unread"]


def wait_in_vain():
    pass


def test_jobs_whose_messages_the_broker_lost_are_published_again(unread, settings):
    settings.JOBS_MESSAGE_GRACE_SECONDS = 0
    unread.purge()
    submit("wait_in_vain")
    sweep.publish()

    sweep.forget_lost_messages()

    assert Job.objects.filter(published_at=None).count() == 30


def test_jobs_whose_queue_was_deleted_are_published_again(unread, settings):
    settings.JOBS_MESSAGE_GRACE_SECONDS = 0
    unread.delete()

    sweep.forget_lost_messages()

    assert Job.objects.filter(published_at=None).count() == 30


def test_jobs_that_wait_for_a_busy_worker_are_not_published_again(unread, settings):
    settings.JOBS_MESSAGE_GRACE_SECONDS = 0

    sweep.forget_lost_messages()

    assert not Job.objects.filter(published_at=None).exists()


# --- Errors -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_error_that_may_pass_is_tried_again_later_and_later(define, sent):
    @define(retry_on=(ConnectionError,), max_attempts=4)
    def call():
        raise ConnectionError("no route to host")

    job = submit("call")
    pauses = []
    for attempt in range(1, 4):
        work(str(job.pk))
        job.refresh_from_db()
        assert (job.status, job.attempts, job.error) == ("waiting", attempt, "ConnectionError: no route to host")
        pauses.append((job.due_at - job.started_at).total_seconds())
        work(str(job.pk))  # not due yet
        Job.objects.filter(pk=job.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    work(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.attempts) == ("failed", 4)
    assert all(1 <= pause <= 2 + 2 * 2**attempt for attempt, pause in enumerate(pauses, 1))


@pytest.mark.django_db(transaction=True)
def test_a_lost_database_is_tried_again_without_being_declared(define, sent):
    @define()
    def query():
        raise OperationalError("server closed the connection unexpectedly")

    job = submit("query")
    work(str(job.pk))

    assert Job.objects.get(pk=job.pk).status == "waiting"


@pytest.mark.django_db(transaction=True)
def test_any_other_error_ends_the_job_and_takes_back_what_it_wrote(define, sent):
    @define(retry_on=(ConnectionError,))
    def write():
        Trace.objects.create(task_id="written", task="write")
        with output("half.txt") as file:
            file.write(b"half")
        raise ValueError("no such customer\0")

    job = submit("write")
    work(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.error, job.output.name) == ("failed", "ValueError: no such customer", "")
    assert not Trace.objects.exists()
    assert default_storage.listdir(f"jobs/{job.pk}/1") == ([], [])


@pytest.mark.django_db(transaction=True)
def test_a_result_that_is_not_json_ends_the_job(define, sent):
    @define()
    def compute():
        return {1, 2}

    job = submit("compute")
    work(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.error) == ("failed", "TypeError: Object of type set is not JSON serializable")


@pytest.mark.django_db(transaction=True)
def test_a_job_that_takes_too_long_says_so(define, sent):
    @define(time_limit=10)
    def long():
        raise SoftTimeLimitExceeded

    job = submit("long")
    work(str(job.pk))

    assert Job.objects.get(pk=job.pk).error == "it took longer than 9 seconds"


@pytest.mark.django_db(transaction=True)
def test_the_time_limit_goes_with_the_message(define, monkeypatch):
    seen = {}
    monkeypatch.setattr(task, "apply_async", lambda arguments, **options: seen.update(options))

    @define(time_limit=10)
    def long():
        pass

    submit("long")
    sweep.publish()

    assert (seen["time_limit"], seen["soft_time_limit"]) == (10, 9)


@pytest.mark.django_db(transaction=True)
def test_a_kind_that_this_worker_does_not_know_waits_for_one_that_does(define, sent):
    define()(added_yesterday)
    job = submit("added_yesterday")
    del registry._kinds["added_yesterday"]

    sweep.publish()
    work(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.attempts) == ("waiting", 1)
    assert "no job is called 'added_yesterday'" in job.error


def added_yesterday():
    pass


@pytest.mark.django_db(transaction=True)
def test_what_a_job_writes_and_its_success_are_one_transaction(define, sent):
    @define()
    def write():
        Trace.objects.create(task_id="written", task="write")

    job = submit("write")
    work(str(job.pk))

    assert Job.objects.get(pk=job.pk).status == "succeeded"
    assert Trace.objects.filter(task_id="written").exists()


# --- Progress and cancelling --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_progress_is_seen_while_the_job_runs(define, sent):
    seen = threading.Event()

    @define(atomic=False)
    def steps():
        progress(3, 10, "steps")
        assert seen.wait(timeout=20)
        return "done"

    job = submit("steps")
    with in_threads(lambda: work(str(job.pk))):
        wait_for(lambda: Job.objects.filter(done=3, total=10, note="steps", status="running").exists(), "progress")
        assert Job.objects.get(pk=job.pk).percent == 30
        seen.set()

    assert Job.objects.get(pk=job.pk).status == "succeeded"


@pytest.mark.django_db
def test_progress_outside_a_job_does_nothing():
    progress(1, 2)


@pytest.mark.django_db(transaction=True)
def test_a_waiting_job_that_is_cancelled_never_starts(sent):
    job = submit("add", x=4, y=5)
    sweep.publish()

    assert ledger.cancel(job).status == "cancelled"
    work(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.attempts) == ("cancelled", 0)


@pytest.mark.django_db(transaction=True)
def test_a_running_job_that_is_cancelled_stops_where_it_says_how_far_it_is(define, sent):
    @define(atomic=False)
    def endless():
        for number in range(10_000):
            progress(number, 10_000)
            time.sleep(0.01)

    job = submit("endless")
    with in_threads(lambda: work(str(job.pk))):
        wait_for(lambda: Job.objects.filter(status="running", done__gt=0).exists(), "the start")
        assert ledger.cancel(job).status == "running"

    job.refresh_from_db()
    assert job.status == "cancelled"
    assert 0 < job.done < 9_999


@pytest.mark.django_db(transaction=True)
def test_a_running_job_that_was_cancelled_does_not_start_again_when_its_worker_dies(sent):
    job = submit("add", x=4, y=5)
    claimed = ledger.claim(job.pk)
    ledger.cancel(job)
    let_lease_end(claimed)

    ledger.expire()

    assert Job.objects.get(pk=job.pk).status == "cancelled"


@pytest.mark.django_db(transaction=True)
def test_of_cancelling_and_starting_at_the_same_moment_one_wins(sent):
    for _ in range(20):
        job = submit("add", x=4, y=5)
        claimed, cancelled = results_of(lambda job=job: ledger.claim(job.pk), lambda job=job: ledger.cancel(job))
        assert (claimed is None) == (cancelled.status == "cancelled")


@pytest.mark.django_db(transaction=True)
def test_a_finished_job_is_not_cancelled(sent):
    job = submit("add", x=4, y=5)
    work(str(job.pk))

    assert ledger.cancel(job).status == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_a_failed_job_that_is_retried_has_all_its_attempts_again(define, sent):
    answers = iter([ValueError, None])

    @define(max_attempts=2)
    def call():
        if error := next(answers):
            raise error
        return "done"

    job = submit("call")
    work(str(job.pk))
    assert ledger.retry(job)
    work(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.result, job.error, job.attempts, job.max_attempts) == ("succeeded", "done", "", 2, 3)
    assert not ledger.retry(job)


# --- Files, the loop, the decorator -------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_job_gets_a_file_by_its_name_and_leaves_one(define, sent):
    @define()
    def shout(text):
        with default_storage.open(text) as source, output("shouted.txt") as target:
            target.write(source.read().upper())

    job = submit("shout", text=ContentFile(b"hello", name="../../Hello World.TXT"))
    work(str(job.pk))

    job.refresh_from_db()
    assert job.arguments == {"text": f"jobs/{job.pk}/text.txt"}
    assert job.output.name == f"jobs/{job.pk}/1/shouted.txt"
    assert job.output.read() == b"HELLO"


def test_the_sweep_outlives_a_database_that_does_not_answer(worker, monkeypatch):
    expire, answers = ledger.expire, iter([DatabaseError("the connection is closed")])

    def sometimes():
        if error := next(answers, None):
            raise error
        return expire()

    monkeypatch.setattr(ledger, "expire", sometimes)
    stop = threading.Event()
    with in_threads(lambda: sweep.run(stop)):
        try:
            assert ended(submit("add", x=4, y=5)).result == 9
        finally:
            stop.set()


def test_the_sweep_waits_for_a_database_that_is_not_ready_and_ends_at_sigterm(tmp_path):
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3"}
    environment["DJANGO_SETTINGS_MODULE"] = "config.settings.dev"
    with subprocess.Popen(
        [sys.executable, "manage.py", "sweep"], cwd=BASE_DIR, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert any("the database does not answer, trying again" in line for line in process.stderr)

        process.terminate()
        try:
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()


def test_an_argument_that_submit_takes_itself_is_refused(define):
    with pytest.raises(TypeError, match="job greet: owner can't be an argument"):

        @define()
        def greet(owner):
            pass


def test_two_functions_of_one_name_are_refused(define):
    def add():
        pass

    with pytest.raises(ValueError, match=r"job add: jobs\.kinds has one of this name"):
        define()(add)
