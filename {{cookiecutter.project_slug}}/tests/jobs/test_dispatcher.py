"""Every job reaches the broker, whatever happens to the broker and to the database: jobs/dispatcher.py."""

import os
import re
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.db import DatabaseError
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from config.celery import app
from config.settings.celery import queue as celery_queue
from jobs import backlog, dispatcher, lifecycle, submit
from jobs.models import Job
from jobs.notifications import notify_dispatcher
from jobs.queues import companion
from jobs.tasks import execute_job
from ops.celery.worker_pool import WorkerPool
from tests.jobs.helpers import wait_until_finished
from tests.jobs.threads import in_threads, results_of
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

TWO_QUEUES = """
from config.settings.test import *

CELERY_BROKER_URL, CELERY_BROKER_TRANSPORT_OPTIONS = "memory://", {}
CELERY_TASK_QUEUES = [queue("test"), queue("other")]
"""


def wait_in_vain():
    pass


@pytest.fixture(autouse=True)
def new_dispatcher(monkeypatch):
    """A dispatcher that remembers nothing of another test."""
    monkeypatch.setattr(backlog, "_last_owner", {})
    monkeypatch.setattr(backlog, "_paces", {})


@pytest.fixture
def published_by_queue(monkeypatch) -> dict[str, list[str]]:
    """The ids of the jobs that were published, by queue, to a broker that drops the messages."""
    ids = defaultdict(list)
    monkeypatch.setattr(
        execute_job, "apply_async", lambda arguments, queue, **options: ids[queue.name].append(arguments[0])
    )
    return ids


def test_two_hundred_jobs_all_finish(dispatching):
    jobs = [submit("multiply", x=number, y=2) for number in range(200)]

    wait_for(lambda: not Job.objects.exclude(status="succeeded").exists(), "the end of 200 jobs", seconds=60)

    assert set(Job.objects.values_list("result", flat=True)) == {2 * number for number in range(len(jobs))}


@pytest.mark.django_db(transaction=True)
def test_dispatchers_beside_each_other_publish_each_job_once(published, settings):
    settings.JOBS_MESSAGES_PER_PROCESS = 100
    jobs = {str(submit("multiply", x=number, y=0).pk) for number in range(50)}

    results_of(*[dispatcher.publish_due_jobs] * 4)
    dispatcher.publish_due_jobs()

    assert sorted(published) == sorted(jobs)


@pytest.mark.django_db(transaction=True)
def test_a_job_waits_while_the_broker_refuses_it_and_is_published_when_it_does_not(monkeypatch, published, caplog):
    job = submit("multiply", x=4, y=5)
    accept = execute_job.apply_async

    def refuse(*arguments, **options):
        raise BrokerError("connection refused")

    monkeypatch.setattr(execute_job, "apply_async", refuse)
    dispatcher.publish_due_jobs()
    assert Job.objects.get(pk=job.pk).published_at is None
    assert "connection refused" in caplog.text

    monkeypatch.setattr(execute_job, "apply_async", accept)
    dispatcher.publish_due_jobs()
    assert published == [str(job.pk)]


@pytest.mark.django_db(transaction=True)
def test_the_time_limit_goes_with_the_message(define, monkeypatch):
    seen = {}
    monkeypatch.setattr(execute_job, "apply_async", lambda arguments, **options: seen.update(options))

    @define(time_limit=10)
    def long():
        pass

    submit("long")
    dispatcher.publish_due_jobs()

    turn = django_settings.JOBS_TURN_SECONDS  # the last job of a turn may begin this much later than the first
    assert (seen["time_limit"], seen["soft_time_limit"]) == (10 + turn, 9 + turn)


@pytest.mark.django_db(transaction=True)
def test_a_job_whose_queue_the_dispatcher_does_not_know_delays_no_other_and_says_why(
    define, published_by_queue, monkeypatch
):
    transport = type(app.connection_for_write().transport)
    as_for_redis = (*transport.connection_errors, KeyError)
    monkeypatch.setattr(transport, "connection_errors", as_for_redis)
    define(queue="gone")(wait_in_vain)
    stuck = submit("wait_in_vain")
    job = submit("multiply", x=4, y=5)

    assert dispatcher.publish_due_jobs() is False

    assert published_by_queue == {"test.jobs": [str(job.pk)]}
    stuck.refresh_from_db()
    assert "no queue is called 'gone'" in stuck.publish_error
    assert stuck.published_at is None
    assert 50 < (stuck.run_after - timezone.now()).total_seconds() <= 60


@pytest.mark.django_db(transaction=True)
def test_a_job_that_could_not_be_published_is_tried_again_after_a_minute(monkeypatch, published):
    job = submit("multiply", x=4, y=5)
    accept = execute_job.apply_async

    def refuse(*arguments, **options):
        raise ValueError("inequivalent arg 'x-queue-type'")

    monkeypatch.setattr(execute_job, "apply_async", refuse)
    dispatcher.publish_due_jobs()
    monkeypatch.setattr(execute_job, "apply_async", accept)
    dispatcher.publish_due_jobs()
    assert published == []
    assert "inequivalent arg" in Job.objects.get(pk=job.pk).publish_error

    Job.objects.filter(pk=job.pk).update(run_after=timezone.now() - timedelta(seconds=1))
    dispatcher.publish_due_jobs()

    assert published == [str(job.pk)]
    assert Job.objects.get(pk=job.pk).publish_error == ""


# --- The backlog stays in the database ----------------------------------------------------------------------------


@pytest.fixture
def two_processes(settings):
    """Workers have two processes, and the broker may have four messages for each of them."""
    settings.WORKER_POOLS = {"worker": WorkerPool(concurrency=2, replicas=1)}
    settings.JOBS_MESSAGES_PER_PROCESS = 4


@pytest.mark.django_db(transaction=True)
def test_the_broker_gets_four_messages_for_each_process_while_the_workers_are_slow(published, two_processes):
    for number in range(30):
        submit("multiply", x=number, y=1)

    assert dispatcher.publish_due_jobs() is True
    assert dispatcher.publish_due_jobs() is True
    assert len(published) == 8

    for job_id in published[:2]:
        lifecycle.claim(job_id)
    dispatcher.publish_due_jobs()
    assert len(published) == 10


@pytest.mark.django_db(transaction=True)
def test_the_broker_gets_as_many_messages_as_the_workers_take_in_a_second(published, two_processes, monkeypatch):
    now = 100.0
    monkeypatch.setattr(backlog.time, "monotonic", lambda: now)
    for number in range(60):
        submit("multiply", x=number, y=1)

    for _ in range(2):
        dispatcher.publish_due_jobs()
        Job.objects.filter(status="waiting").exclude(published_at=None).update(status="succeeded")
    now += 0.5  # 16 jobs were taken in half a second
    dispatcher.publish_due_jobs()

    assert len(published) == 8 + 8 + 32
    now += 0.5  # and none in the next one
    dispatcher.publish_due_jobs()
    Job.objects.filter(status="waiting").exclude(published_at=None).update(status="succeeded")
    dispatcher.publish_due_jobs()
    assert len(published) == 8 + 8 + 32 + 8


@pytest.mark.django_db(transaction=True)
def test_more_workers_than_the_settings_say_get_more_messages(published, two_processes):
    for number in range(30):
        submit("multiply", x=number, y=1)
    dispatcher.publish_due_jobs()
    for job_id in published[:3]:
        lifecycle.claim(job_id)

    for _ in range(3):
        dispatcher.publish_due_jobs()

    assert Job.objects.filter(status="waiting").exclude(published_at=None).count() == 3 * 4


@pytest.mark.django_db(transaction=True)
def test_a_full_queue_leaves_the_places_of_the_other_queues_free(define, published_by_queue, two_processes):
    app.amqp.queues.add(celery_queue("other"))
    try:
        for _ in range(10):
            submit("multiply", x=1, y=1)
        dispatcher.publish_due_jobs()
        define(queue="other")(wait_in_vain)
        submit("wait_in_vain")
        dispatcher.publish_due_jobs()
    finally:
        del app.amqp.queues["other"]

    assert {queue: len(jobs) for queue, jobs in published_by_queue.items()} == {"test.jobs": 8, "other.jobs": 1}


@pytest.mark.django_db(transaction=True)
def test_a_single_job_overtakes_the_backlog_of_another_owner(published, two_processes, ada, grace):
    for number in range(30):
        submit("multiply", x=number, y=1, owner=ada)
    dispatcher.publish_due_jobs()
    single = submit("multiply", x=1, y=1, owner=grace)

    lifecycle.claim(published[0])
    dispatcher.publish_due_jobs()

    assert published[8:] == [str(single.pk)]


@pytest.mark.django_db(transaction=True)
def test_owners_take_turns_and_so_do_jobs_without_one(published, two_processes, ada, grace):
    owner_of = {str(submit("multiply", x=1, y=1, owner=owner).pk): owner for owner in (None, ada) for _ in range(5)}
    owner_of[str(submit("multiply", x=1, y=1, owner=grace).pk)] = grace

    dispatcher.publish_due_jobs()

    assert {owner_of[job_id] for job_id in published[:3]} == {None, ada, grace}
    assert Counter(owner_of[job_id] for job_id in published)[grace] == 1
    assert {Counter(owner_of[job_id] for job_id in published)[owner] for owner in (None, ada)} == {3, 4}


@pytest.mark.django_db(transaction=True)
def test_everybody_has_a_turn_although_there_are_more_owners_than_places(published, settings):
    settings.WORKER_POOLS = {"worker": WorkerPool(concurrency=1, replicas=1)}
    settings.JOBS_MESSAGES_PER_PROCESS = 2
    owners = [get_user_model().objects.create_user(f"user-{number}") for number in range(5)]
    owner_of = {str(submit("multiply", x=1, y=1, owner=owner).pk): owner for owner in owners for _ in range(3)}

    for _ in range(5):
        dispatcher.publish_due_jobs()
        for job_id in published[-2:]:  # a worker takes the messages at once
            Job.objects.filter(pk=job_id).update(status=Job.Status.SUCCEEDED)

    assert {owner_of[job_id] for job_id in published[:5]} == set(owners)
    assert len(published) == 10


@pytest.mark.django_db(transaction=True)
def test_after_an_outage_the_broker_gets_no_more_messages_than_before(monkeypatch, published):
    """Jobs that were put back must not count as taken by workers, otherwise the measured pace would be too high."""
    accept = execute_job.apply_async

    def refuse(*arguments, **options):
        raise BrokerError("connection refused")

    for number in range(40):
        submit("multiply", x=number, y=0)
    monkeypatch.setattr(backlog, "PACE_INTERVAL", 0)
    monkeypatch.setattr(execute_job, "apply_async", refuse)
    for _ in range(5):
        dispatcher.publish_due_jobs()

    monkeypatch.setattr(execute_job, "apply_async", accept)
    dispatcher.publish_due_jobs()

    assert len(published) == backlog._smallest_window()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("count", [1, 20])
def test_a_chosen_job_that_is_no_longer_due_is_not_published(published, settings, count):
    settings.JOBS_MESSAGES_PER_PROCESS = 100
    chosen = [submit("multiply", x=number, y=0).pk for number in range(count)]
    Job.objects.update(run_after=timezone.now() + timedelta(minutes=1))

    assert backlog.take("", chosen)[0] == []
    assert not Job.objects.exclude(published_at=None).exists()


# --- Waiting ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("others", [0, 20])
def test_the_dispatcher_wakes_when_the_next_job_is_due(published, others):
    for number in range(others):
        submit("multiply", x=number, y=0, run_after=timedelta(hours=1))
    submit("multiply", x=4, y=5, run_after=timedelta(seconds=3))

    dispatcher.publish_due_jobs()

    assert published == []
    assert 0 < dispatcher._seconds_until_next_job() <= 3


@pytest.mark.django_db(transaction=True)
def test_the_dispatcher_waits_a_second_while_a_due_job_could_not_be_published(published):
    submit("multiply", x=4, y=5)

    assert dispatcher._seconds_until_next_job() == dispatcher.RETRY_INTERVAL


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("jobs", [1, 9, 10, 40])
def test_few_jobs_and_many_are_published_in_the_order_in_which_they_became_due(published, settings, jobs):
    settings.JOBS_MESSAGES_PER_PROCESS = 100
    ids = [str(submit("multiply", x=number, y=0).pk) for number in range(jobs)]

    dispatcher.publish_due_jobs()

    assert published == ids


# --- Messages that the broker has lost ----------------------------------------------------------------------------


@pytest.fixture
def unread(transactional_db, define, settings):
    """The queue `unread.jobs`, which no worker reads, with 30 messages for jobs. It is bound to a channel of the
    broker.
    """
    settings.JOBS_MESSAGES_PER_PROCESS = 100
    define(queue="unread")(wait_in_vain)
    app.amqp.queues.add(celery_queue("unread"))
    with app.connection_for_write() as broker:
        queue = companion("unread")(broker.default_channel)
        queue.declare()
        queue.purge()
        for _ in range(30):
            submit("wait_in_vain")
        dispatcher.publish_due_jobs()
        wait_for(lambda: queue.queue_declare(passive=True).message_count == 30, "30 messages")
        yield queue
        queue.delete()
    del app.amqp.queues["unread"]


def test_jobs_whose_messages_the_broker_lost_are_published_again(unread, settings):
    settings.JOBS_REPUBLISH_AFTER_SECONDS = 0
    unread.purge()
    submit("wait_in_vain")
    dispatcher.publish_due_jobs()

    dispatcher.republish_lost_jobs()

    assert Job.objects.filter(published_at=None).count() == 30


def test_jobs_whose_queue_was_deleted_are_published_again(unread, settings):
    settings.JOBS_REPUBLISH_AFTER_SECONDS = 0
    unread.delete()

    dispatcher.republish_lost_jobs()

    assert Job.objects.filter(published_at=None).count() == 30


def test_jobs_that_wait_for_a_busy_worker_are_not_published_again(unread, settings):
    settings.JOBS_REPUBLISH_AFTER_SECONDS = 0

    dispatcher.republish_lost_jobs()

    assert not Job.objects.filter(published_at=None).exists()


def test_plain_tasks_in_the_queue_itself_do_not_hide_that_its_companion_lost_a_job(unread, settings):
    settings.JOBS_REPUBLISH_AFTER_SECONDS = 0
    unread.purge()
    queue = app.amqp.queues["unread"](unread.channel)
    queue.declare()
    try:
        for _ in range(30):
            execute_job.apply_async(("a plain task",), queue="unread")
        wait_for(lambda: queue.queue_declare(passive=True).message_count == 30, "30 plain tasks")

        dispatcher.republish_lost_jobs()
    finally:
        queue.delete()

    assert Job.objects.filter(published_at=None).count() == 30


def test_a_job_that_waits_for_very_long_is_published_again_whatever_the_broker_has(unread):
    oldest = Job.objects.order_by("created_at").first()
    Job.objects.filter(pk=oldest.pk).update(published_at=timezone.now() - timedelta(seconds=601))

    dispatcher.republish_lost_jobs()

    assert Job.objects.get(published_at=None) == oldest


@pytest.mark.parametrize("options", [[], ["-Q", "test"], ["-X", "other"]])
def test_a_worker_that_consumes_a_queue_also_consumes_its_jobs(options, tmp_path):
    (tmp_path / "two_queues.py").write_text(TWO_QUEUES)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "two_queues", "PYTHONPATH": str(tmp_path)}
    environment["PYTHONUNBUFFERED"] = "1"
    consumed = set()
    with subprocess.Popen(  # noqa: S603  the test wrote the command
        [sys.executable, "-m", "celery", "-A", "config", "worker", "--pool", "solo", "--loglevel", "INFO", *options],
        cwd=django_settings.BASE_DIR,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        give_up = threading.Timer(60, process.kill)
        give_up.start()
        try:
            for line in process.stdout:  # the worker's banner, which ends with the tasks
                consumed |= set(re.findall(r"[ .]> (\S+) +exchange=", line))
                if "[tasks]" in line:
                    break
        finally:
            give_up.cancel()
            process.kill()

    expected = {"test", "test.jobs"}
    assert consumed == (expected if options else expected | {"other", "other.jobs"})


# --- The loop -----------------------------------------------------------------------------------------------------


def test_the_dispatcher_survives_a_database_that_does_not_answer(worker, monkeypatch):
    recover, answers = lifecycle.recover_expired_leases, iter([DatabaseError("the connection is closed")])

    def sometimes():
        if error := next(answers, None):
            raise error
        return recover()

    monkeypatch.setattr(lifecycle, "recover_expired_leases", sometimes)
    stop = threading.Event()
    with in_threads(lambda: dispatcher.run(stop)):
        try:
            assert wait_until_finished(submit("multiply", x=4, y=5)).result == 20
        finally:
            stop.set()
            notify_dispatcher()


def test_the_dispatcher_waits_for_a_database_that_is_not_ready_and_ends_at_sigterm(tmp_path):
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3", "TMPDIR": str(tmp_path)}
    environment["DJANGO_SETTINGS_MODULE"] = "config.settings.dev"
    with subprocess.Popen(
        [sys.executable, "manage.py", "dispatch_jobs"],
        cwd=django_settings.BASE_DIR,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert any("the database does not answer, trying again" in line for line in process.stderr)

        process.terminate()
        try:
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
