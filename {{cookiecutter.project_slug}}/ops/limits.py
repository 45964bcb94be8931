"""Refuses a request whose body is too large, before anything reads it."""

from django.conf import settings
from django.http import HttpResponse


class BodyLimitMiddleware:
    """413 for a body of more than MAX_BODY_BYTES. Django's own limits don't count files: an upload would fill the disk
    before a form could look at it.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > settings.MAX_BODY_BYTES:
            limit = settings.MAX_BODY_BYTES // 2**20
            return HttpResponse(f"Too large: at most {limit} MB.\n", status=413, content_type="text/plain")
        return self.get_response(request)
