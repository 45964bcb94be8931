"""Old jobs and their files are deleted, and nothing else is: jobs/cleanup.py."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.utils import timezone

from jobs import submit
from jobs.executor import execute
from jobs.models import Job
from jobs.tasks import clean_up


def finished_job(days: int) -> Job:
    """Return a finished job with an uploaded and a written file, which ended `days` ago."""
    job = submit("shout", text=ContentFile(b"text", name="text.txt"))
    execute(str(job.pk))
    Job.objects.filter(pk=job.pk).update(finished_at=timezone.now() - timedelta(days=days))
    return Job.objects.get(pk=job.pk)


def make_older(folder: Path, days: int) -> None:
    then = time.time() - days * 24 * 3600
    os.utime(folder, (then, then))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("run", [clean_up, lambda: call_command("clean_up_jobs")], ids=["task", "command"])
def test_old_jobs_and_their_files_are_deleted_and_others_stay(settings, run):
    old, recent = finished_job(settings.JOBS_RETENTION_DAYS + 1), finished_job(1)
    waiting = submit("multiply", x=4, y=5)
    for job in (old, recent):
        make_older(settings.MEDIA_ROOT / "jobs" / str(job.pk), days=8)

    run()

    assert set(Job.objects.all()) == {recent, waiting}
    assert not (settings.MEDIA_ROOT / "jobs" / str(old.pk)).exists()
    assert recent.output.read() == b"TEXT"


@pytest.mark.django_db(transaction=True)
def test_files_without_a_row_stay_for_a_day_because_their_transaction_may_be_open(settings):
    job = finished_job(0)
    Job.objects.all().delete()

    clean_up()
    assert default_storage.exists(job.output.name)

    make_older(settings.MEDIA_ROOT / "jobs" / str(job.pk), days=2)
    clean_up()
    assert not default_storage.exists(job.output.name)


@pytest.mark.django_db
def test_folders_that_no_job_has_created_stay(settings):
    (settings.MEDIA_ROOT / "jobs" / "mine").mkdir(parents=True)
    make_older(settings.MEDIA_ROOT / "jobs" / "mine", days=30)

    clean_up()

    assert (settings.MEDIA_ROOT / "jobs" / "mine").exists()


@pytest.mark.django_db
def test_cleaning_up_works_when_there_is_nothing_to_delete():
    clean_up()
