"""Jobs reach the broker once, whatever happens to the broker and to the database: jobs/dispatcher.py."""

import os
import subprocess
import sys
import threading

import pytest
from django.conf import settings as django_settings
from django.db import DatabaseError
from kombu.exceptions import OperationalError as BrokerError

from config.celery import app
from config.settings.celery import queue as celery_queue
from jobs import dispatcher, lifecycle, submit
from jobs.models import Job
from jobs.tasks import execute_job
from tests.jobs.helpers import wait_until_finished
from tests.jobs.threads import in_threads, results_of
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow


def test_two_hundred_jobs_all_finish(dispatching):
    jobs = [submit("multiply", x=number, y=2) for number in range(200)]

    wait_for(lambda: not Job.objects.exclude(status="succeeded").exists(), "the end of 200 jobs", seconds=60)

    assert set(Job.objects.values_list("result", flat=True)) == {2 * number for number in range(len(jobs))}


@pytest.mark.django_db(transaction=True)
def test_dispatchers_beside_each_other_publish_each_job_once(published):
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

    assert (seen["time_limit"], seen["soft_time_limit"]) == (10, 9)


# --- Messages that the broker has lost ----------------------------------------------------------------------------


def wait_in_vain():
    pass


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
