"""Sends the file that a job has written. Whoever calls this has checked whose job it is."""

import mimetypes
from pathlib import PurePath
from urllib.parse import quote

from django.conf import settings
from django.http import FileResponse, Http404, HttpResponse
from django.utils.http import content_disposition_header

from jobs.models import Job


def name_of(job: Job) -> str:
    """Return the name under which people get what the job wrote; empty if there is nothing."""
    return PurePath(job.output.name).name if job.output and job.status == Job.Status.SUCCEEDED else ""


def send(job: Job):
    """Return the response with the file; with ACCEL_LOCATION an empty one, whose header tells nginx which file to send.
    Raises Http404 if there is none.
    """
    name = name_of(job)
    if not name:
        raise Http404
    kind, packed = mimetypes.guess_type(name)
    kind = kind if kind and not packed else "application/octet-stream"
    # As an attachment: shown by the browser, what a job wrote would be a page of this site.
    if settings.ACCEL_LOCATION:
        answer = HttpResponse(content_type=kind)
        answer["Content-Disposition"] = content_disposition_header(True, name)
        answer["X-Accel-Redirect"] = settings.ACCEL_LOCATION + quote(job.output.name)
        return answer
    try:
        return FileResponse(job.output.open(), as_attachment=True, filename=name, content_type=kind)
    except FileNotFoundError:
        raise Http404 from None
