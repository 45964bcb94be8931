"""Old jobs and their files are deleted, nothing else is."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from jobs import output, submit
from jobs.models import Job
from jobs.tasks import clean_up
from jobs.worker import work


@pytest.fixture
def report(define):
    """Return a function that returns a finished job with an uploaded and a written file, which ended `days` ago."""

    @define()
    def copy(file):
        with default_storage.open(file) as source, output("copy.txt") as target:
            target.write(source.read())

    def _report(days):
        job = submit("copy", file=ContentFile(b"text", name="text.txt"))
        work(str(job.pk))
        Job.objects.filter(pk=job.pk).update(finished_at=timezone.now() - timedelta(days=days))
        return Job.objects.get(pk=job.pk)

    return _report


def make_older(folder: Path, days: int) -> None:
    then = time.time() - days * 24 * 3600
    os.utime(folder, (then, then))


@pytest.mark.django_db(transaction=True)
def test_old_jobs_and_their_files_are_deleted_and_others_stay(report, settings):
    old, recent, waiting = report(settings.JOBS_KEEP_DAYS + 1), report(1), submit("add", x=4, y=5)
    for job in (old, recent):
        make_older(settings.MEDIA_ROOT / "jobs" / str(job.pk), days=8)

    clean_up()

    assert set(Job.objects.all()) == {recent, waiting}
    assert not (settings.MEDIA_ROOT / "jobs" / str(old.pk)).exists()
    assert recent.output.read() == b"text"


@pytest.mark.django_db(transaction=True)
def test_files_of_a_transaction_that_is_still_open_stay(report, settings):
    job = report(0)
    Job.objects.all().delete()

    clean_up()
    assert default_storage.exists(job.output.name)

    make_older(settings.MEDIA_ROOT / "jobs" / str(job.pk), days=2)
    clean_up()
    assert not default_storage.exists(job.output.name)


@pytest.mark.django_db
def test_folders_that_are_not_ours_stay(settings):
    (settings.MEDIA_ROOT / "jobs" / "mine").mkdir(parents=True)
    make_older(settings.MEDIA_ROOT / "jobs" / "mine", days=30)

    clean_up()

    assert (settings.MEDIA_ROOT / "jobs" / "mine").exists()


@pytest.mark.django_db
def test_nothing_is_there_to_delete():
    clean_up()
