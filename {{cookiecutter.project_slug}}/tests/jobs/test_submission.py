"""Submitting a job writes a row in the caller's transaction, once for each idempotency key: jobs/submission.py."""

import inspect
from datetime import datetime, timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

import jobs
from config.celery import app
from jobs import dispatcher, submission, submit
from jobs.exceptions import IdempotencyConflict, UnknownKind
from jobs.models import Job
from jobs.tasks import execute_job
from ops.request_id import REQUEST_ID
from tests.jobs.helpers import wait_until_finished
from tests.jobs.threads import results_of


def test_a_submitted_job_is_published_and_run_and_its_result_is_saved(dispatching):
    job = wait_until_finished(submit("multiply", x=4, y=5))

    assert (job.status, job.result, job.attempts, job.error) == ("succeeded", 20, 1, "")
    assert job.created_at <= job.started_at <= job.finished_at


@pytest.mark.parametrize("key", ["", "order-1"])
def test_a_job_runs_with_the_id_of_the_request_that_submitted_it(define, dispatching, key):
    @define()
    def ask():
        return REQUEST_ID.get()

    token = REQUEST_ID.set("request-1")
    job = submit("ask", idempotency_key=key)
    REQUEST_ID.reset(token)

    assert wait_until_finished(job).result == "request-1"


@pytest.mark.django_db(transaction=True)
def test_a_job_of_a_transaction_that_rolls_back_is_never_published(published):
    with transaction.atomic():
        submit("multiply", x=4, y=5)
        transaction.set_rollback(True)

    dispatcher.publish_due_jobs()

    assert published == []
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_job_is_not_published_before_its_transaction_is_committed(published):
    with transaction.atomic():
        job = submit("multiply", x=4, y=5)
        if transaction.get_connection().vendor != "sqlite":  # SQLite lets only one connection write at a time
            results_of(dispatcher.publish_due_jobs)
            assert published == []

    dispatcher.publish_due_jobs()

    assert published == [str(job.pk)]


@pytest.mark.django_db
def test_submitting_does_not_talk_to_the_broker(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("submit() reached the broker")

    monkeypatch.setattr(app, "send_task", refuse)
    monkeypatch.setattr(execute_job, "apply_async", refuse)
    monkeypatch.setattr("kombu.Connection.connect", refuse)

    assert submit("multiply", x=4, y=5).status == "waiting"


@pytest.mark.django_db
def test_an_unknown_kind_or_arguments_that_do_not_fit_are_refused_at_once():
    with pytest.raises(UnknownKind, match=r"no job is called 'nothing': there are .*\bmultiply\b"):
        submit("nothing")
    with pytest.raises(TypeError, match="missing a required argument: 'y'"):
        submit("multiply", x=4)
    assert not Job.objects.exists()


def test_the_public_function_has_the_documented_signature():
    public, documented = (inspect.signature(function) for function in (jobs.submit, submission.submit))

    def parameters(signature):
        return [(parameter.name, parameter.kind, parameter.default) for parameter in signature.parameters.values()]

    assert parameters(public) == parameters(documented)


# --- Later --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("idempotency_key", ["", "order 7"])
@pytest.mark.parametrize("later", [timedelta(hours=1), timezone.now() + timedelta(hours=1)], ids=["delay", "moment"])
def test_a_job_for_later_waits_in_the_database_until_its_time(published, later, idempotency_key):
    job = submit("multiply", x=4, y=5, run_after=later, idempotency_key=idempotency_key)
    dispatcher.publish_due_jobs()
    assert published == []
    assert timedelta(minutes=50) < job.run_after - timezone.now() <= timedelta(hours=1)

    Job.objects.update(run_after=timezone.now() - timedelta(seconds=1))
    dispatcher.publish_due_jobs()

    assert published == [str(job.pk)]


@pytest.mark.django_db
def test_the_same_key_with_another_time_is_the_same_job_at_the_first_time():
    first = submit("multiply", x=4, y=5, run_after=timedelta(hours=1), idempotency_key="order 7")
    second = submit("multiply", x=4, y=5, run_after=timedelta(hours=2), idempotency_key="order 7")

    assert (second, second.run_after) == (first, first.run_after)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("moment", "error"), [(datetime(2030, 1, 1), ValueError), (3600, TypeError), ("2030-01-01", TypeError)]
)
def test_a_time_without_a_time_zone_or_without_a_unit_is_refused(moment, error):
    with pytest.raises(error, match="run_after"):
        submit("multiply", x=4, y=5, run_after=moment)

    assert not Job.objects.exists()


# --- Idempotency keys ---------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_same_key_of_the_same_owner_is_the_same_job(ada, grace, published):
    jobs = results_of(*[lambda: submit("multiply", x=4, y=5, owner=ada, idempotency_key="order 7").pk] * 8)
    without_owner = results_of(*[lambda: submit("multiply", x=4, y=5, idempotency_key="order 7").pk] * 8)

    assert len(set(jobs)) == len(set(without_owner)) == 1
    assert submit("multiply", x=4, y=5, owner=grace, idempotency_key="order 7").pk not in {*jobs, *without_owner}
    assert Job.objects.count() == 3


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "arguments"), [("multiply", {"x": 4, "y": 6}), ("double", {"number": 4})])
def test_a_key_is_refused_for_another_job(kind, arguments):
    submit("multiply", x=4, y=5, idempotency_key="order 7")

    with pytest.raises(IdempotencyConflict, match="key 'order 7' belongs to another job, multiply "):
        submit(kind, idempotency_key="order 7", **arguments)


@pytest.mark.django_db
def test_a_key_is_refused_for_a_job_without_an_argument_that_the_first_one_has(define):
    @define()
    def export(since, everything=False):
        pass

    submit("export", since=1, everything=True, idempotency_key="export")

    with pytest.raises(IdempotencyConflict):
        submit("export", since=1, idempotency_key="export")


@pytest.mark.django_db
@pytest.mark.parametrize("options", [{}, {"idempotency_key": "order 7"}, {"run_after": timedelta(1)}], ids=repr)
def test_a_user_who_is_not_saved_owns_no_job(ada, options):
    ada.delete()

    with pytest.raises(ValueError, match="owner"):
        submit("multiply", x=4, y=5, owner=ada, **options)
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_the_files_of_a_key_that_was_submitted_before_are_not_saved_again():
    first, second = (submit("shout", text=ContentFile(b"hello", name="a.txt"), idempotency_key="1") for _ in range(2))

    assert first == second
    assert default_storage.listdir("jobs") == ([str(first.pk)], [])


# --- Files --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_file_is_saved_under_the_name_of_its_argument():
    job = submit("shout", text=ContentFile(b"hello", name="../../Hello World.TXT"))

    assert job.arguments == {"text": f"jobs/{job.pk}/text.txt"}
    assert default_storage.open(job.arguments["text"]).read() == b"hello"
