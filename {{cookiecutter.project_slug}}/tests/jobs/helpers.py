"""What several tests of jobs do: write rows, wait for jobs, read pages."""

from datetime import timedelta
from html import unescape

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from jobs.models import Job
from tests.support.waiting import wait_for


def wait_until_finished(job: Job, seconds: float = 20) -> Job:
    """Return the job from the database after it has finished. Fails after `seconds`."""
    wait_for(lambda: Job.objects.get(pk=job.pk).is_finished, f"the end of {job}", seconds)
    return Job.objects.get(pk=job.pk)


def expire_lease(job: Job) -> None:
    """Make the job look as if its worker had died long ago."""
    Job.objects.filter(pk=job.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def write_job(owner, minutes: int = 0, **fields) -> Job:
    """Return a job with these columns, as if it had been submitted some minutes ago."""
    fields = {"kind": "multiply", "arguments": {"x": 4, "y": 5}} | fields
    now = timezone.now()
    job = Job(owner=owner, created_at=now - timedelta(minutes=minutes), **fields)
    if job.is_finished:
        job.started_at, job.finished_at = now - timedelta(seconds=90), now
    job.save()
    return job


def write_job_with_output(owner, name: str = "report.csv", **fields) -> Job:
    """Return a job that has succeeded and left a file called `name`."""
    job = write_job(owner, **{"status": "succeeded"} | fields)
    job.output = default_storage.save(f"jobs/{job.pk}/1/{name}", ContentFile(b"order,amount\n"))
    job.save()
    return job


def text_of(response) -> str:
    """Return the HTML of the response, without entities."""
    return unescape(response.content.decode())


def page_of(client, path: str = "/jobs/", **options) -> str:
    """Return the HTML of the page at this path. Fails if the status is not 200."""
    response = client.get(path, **options)
    assert response.status_code == 200
    return text_of(response)
