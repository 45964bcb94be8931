"""While a job runs, its lease is renewed, its progress is saved, and it can be cancelled: jobs/attempt.py."""

import threading
import time
from types import SimpleNamespace

import pytest
from django.core.files.base import ContentFile
from django.db import DatabaseError, DataError, InterfaceError

from jobs import lifecycle, output, progress, submit
from jobs.attempt import Attempt
from jobs.exceptions import JobCancelled, LeaseLost
from jobs.executor import execute
from jobs.models import Job
from tests.jobs.threads import in_threads
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.mark.django_db(transaction=True)
def test_a_running_job_keeps_its_lease(define, published, settings):
    settings.JOBS_LEASE_SECONDS = 1

    @define(atomic=False)
    def long():
        time.sleep(2.5)
        return "done"

    job = submit("long")
    with in_threads(lambda: execute(str(job.pk))) as (running,):
        while not running.done():
            assert lifecycle.recover_expired_leases() == 0
            time.sleep(0.05)

    job.refresh_from_db()
    assert (job.status, job.result, job.attempts) == ("succeeded", "done", 1)


@pytest.mark.django_db(transaction=True)
def test_progress_is_seen_while_the_job_runs(define, published):
    seen = threading.Event()

    @define(atomic=False)
    def steps():
        progress(3, 10, "steps")
        assert seen.wait(timeout=20)
        return "done"

    job = submit("steps")
    with in_threads(lambda: execute(str(job.pk))):
        wait_for(lambda: Job.objects.filter(done=3, total=10, note="steps", status="running").exists(), "progress")
        assert Job.objects.get(pk=job.pk).percent == 30
        seen.set()

    assert Job.objects.get(pk=job.pk).status == "succeeded"


def test_progress_outside_a_job_does_nothing():
    progress(1, 2)


@pytest.mark.parametrize(
    ("report", "error", "message"),
    [
        ((-1, 2), ValueError, "done=-1 is not between 0 and"),
        ((1, 2**63), ValueError, "total=9223372036854775808 is not between 0 and"),
        ((10**5000, 2), ValueError, "done=a number of 16610 bits is not between 0 and"),
        ((None, 2), TypeError, "done=None is not a whole number"),
        ((1.0, 2), TypeError, r"done=1\.0 is not a whole number"),
        ((1, float("nan")), TypeError, "total=nan is not a whole number"),
        ((True, 2), TypeError, "done=True is not a whole number"),
        (("1", 2), TypeError, "done='1' is not a whole number"),
        ((1, 2, None), TypeError, "note=None is not a text"),
        ((1, 2, b"rows"), TypeError, "note=b'rows' is not a text"),
        ((1, 2, "ro\0ws"), ValueError, r"note='ro\\x00ws' contains NUL"),
        ((1, 2, "ro\ud800ws"), ValueError, r"note='ro\\ud800ws' contains NUL or half a character"),
    ],
)
def test_progress_that_the_row_cannot_hold_is_refused_where_it_is_reported(report, error, message):
    """Also outside a job, so that a test that calls the function finds bad values."""
    with pytest.raises(error, match=rf"^progress\(\): {message}"):
        progress(*report)


@pytest.mark.django_db(transaction=True)
def test_the_largest_progress_fits_into_the_row(define, published):
    @define()
    def count():
        progress(2**63 - 1, 2**63 - 1, "\U0001f600" * 300)

    job = submit("count")
    execute(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.done, job.total, job.note) == ("succeeded", 2**63 - 1, 2**63 - 1, "\U0001f600" * 200)


@pytest.mark.django_db(transaction=True)
def test_a_job_that_reports_bad_progress_fails_once_and_says_why(define, published):
    @define()
    def count():
        progress(1, 2, "ro\0ws")

    job = submit("count")
    execute(str(job.pk))

    job.refresh_from_db()
    assert (job.status, job.attempts) == ("failed", 1)
    assert job.error == r"ValueError: progress(): note='ro\x00ws' contains NUL or half a character"


def test_a_file_that_is_written_outside_a_job_is_discarded(settings):
    with output("report.txt") as file:
        file.write(b"text")

    assert not settings.MEDIA_ROOT.exists()


@pytest.mark.django_db(transaction=True)
def test_a_running_job_that_is_cancelled_stops_where_it_reports_its_progress(define, published):
    @define(atomic=False)
    def endless():
        for number in range(10_000):
            progress(number, 10_000)
            time.sleep(0.01)

    job = submit("endless")
    with in_threads(lambda: execute(str(job.pk))):
        wait_for(lambda: Job.objects.filter(status="running", done__gt=0).exists(), "the start")
        assert lifecycle.cancel(job).status == "running"

    job.refresh_from_db()
    assert job.status == "cancelled"
    assert 0 < job.done < 9_999


@pytest.mark.django_db(transaction=True)
def test_a_job_gets_an_uploaded_file_by_its_name_and_writes_another(published):
    job = submit("shout", text=ContentFile(b"hello", name="hello.txt"))
    execute(str(job.pk))

    job.refresh_from_db()
    assert job.output.name == f"jobs/{job.pk}/1/shouted.txt"
    assert job.output.read() == b"HELLO"


# --- Without a database -------------------------------------------------------------------------------------------


@pytest.fixture
def job(settings):
    """Something that looks like a claimed job, whose lease is renewed ten times a second."""
    settings.JOBS_LEASE_SECONDS = 0.3
    return SimpleNamespace(pk=1, attempts=1)


@pytest.mark.parametrize(
    ("renew", "error"),
    [
        (lambda job, progress: True, JobCancelled),
        (lambda job, progress: (_ for _ in ()).throw(LeaseLost("lost")), LeaseLost),
    ],
    ids=["cancelled", "lease lost"],
)
def test_a_job_that_must_stop_is_told_at_its_next_report_and_its_file_is_not_saved(settings, job, renew, error):
    with Attempt(job, renew=renew) as attempt:
        wait_for(lambda: attempt._stop_reason, "the reason to stop")
        with pytest.raises(error), output("report.txt") as file:
            file.write(b"text")
        with pytest.raises(error):
            progress(1, 2)

    assert not settings.MEDIA_ROOT.exists()


@pytest.mark.parametrize("error", [DatabaseError, InterfaceError, DataError, ValueError])
def test_a_lease_that_could_not_be_renewed_is_tried_again(job, caplog, error):
    answers = iter([error("the connection is closed")] * 2)
    renewed = []

    def renew(job, latest):
        if error := next(answers, None):
            raise error
        renewed.append(latest)
        return False

    with Attempt(job, renew=renew):
        progress(1, 2, "n" * 300)
        wait_for(lambda: renewed, "the second try")

    assert (1, 2, "n" * 200) in renewed
    assert "the lease was not renewed: the connection is closed" in caplog.text


def test_a_lease_is_renewed_even_if_its_progress_cannot_be_written(job, caplog):
    renewed = []

    def renew(job, latest):
        if latest.note == "bad":
            raise DataError("invalid byte sequence")
        renewed.append(latest)
        return False

    with Attempt(job, renew=renew):
        progress(1, 2, "good")
        wait_for(lambda: (1, 2, "good") in renewed, "the progress")
        progress(2, 2, "bad")
        wait_for(lambda: "progress Progress(done=2, total=2, note='bad') was not written" in caplog.text, "the refusal")
        renewed.clear()
        wait_for(lambda: len(renewed) > 2, "renewals after it")

    assert set(renewed) == {(1, 2, "good")}
