"""Sends files that not everybody may see. The view that calls this has checked who is asking."""

import mimetypes
from urllib.parse import quote

from django.conf import settings
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header


def send_file(name: str, filename: str) -> HttpResponseBase:
    """Return a response that downloads a file.

    `name` is the file's name in the default storage, and `filename` is the name under which the browser saves it. If
    ACCEL_LOCATION is set, the response is empty and a header tells nginx which file to send.

    The response is always an attachment. A browser that displayed the file would treat it as a page of this site.

    Raises Http404 if there is no such file. With ACCEL_LOCATION it is nginx that answers 404.
    """
    content_type, encoding = mimetypes.guess_type(filename)
    if not content_type or encoding:
        content_type = "application/octet-stream"
    if settings.ACCEL_LOCATION:
        response = HttpResponse(content_type=content_type)
        response["Content-Disposition"] = content_disposition_header(True, filename)
        response["X-Accel-Redirect"] = settings.ACCEL_LOCATION + quote(name)
        return response
    try:
        file = default_storage.open(name)
    except FileNotFoundError:
        raise Http404 from None
    return FileResponse(file, as_attachment=True, filename=filename, content_type=content_type)
