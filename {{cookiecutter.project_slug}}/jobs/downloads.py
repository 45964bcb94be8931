"""Which file a job offers for download. The caller has already checked that the user may see the job."""

from pathlib import PurePath

from django.http import Http404
from django.http.response import HttpResponseBase

from jobs.models import Job
from ops.web.sendfile import send_file


def download_filename(job: Job) -> str:
    """Return the file name under which the owner downloads the job's output. Empty if there is nothing to download."""
    return PurePath(str(job.output)).name if job.status == Job.Status.SUCCEEDED else ""


def download_response(job: Job) -> HttpResponseBase:
    """Return a response that sends the job's output. Raises Http404 if there is nothing to download."""
    filename = download_filename(job)
    if not filename:
        raise Http404
    return send_file(str(job.output), filename)
