"""Middleware for every request: its ID, a limit for its body, and a Content-Security-Policy for its response."""

import re
import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from ops.request_id import REQUEST_ID

GetResponse = Callable[[HttpRequest], HttpResponse]

VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class RequestIdMiddleware:
    """Sets the request ID: the one that the proxy sends in X-Request-ID if it is valid, otherwise a new one.

    The response carries the ID in the same header.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.headers.get("X-Request-ID", "")
        request_id = sent if VALID_REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
        REQUEST_ID.set(request_id)
        response = self.get_response(request)
        response.headers["X-Request-ID"] = request_id
        return response


class BodyLimitMiddleware:
    """Refuses a request whose body is larger than MAX_BODY_BYTES with status 413, before anything reads the body.

    Django's own limits do not count files, so an upload would fill the disk before a form could look at it.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > settings.MAX_BODY_BYTES:
            limit = settings.MAX_BODY_BYTES // 2**20
            return HttpResponse(f"Too large: at most {limit} MB.\n", status=413, content_type="text/plain")
        return self.get_response(request)


class ContentSecurityPolicyMiddleware:
    """Sends SECURE_CSP with every page that has no policy of its own.

    Django 6.0 has its own middleware for this, which reads the same setting. Use that one after the upgrade to the next
    long-term release, Django 6.2. https://docs.djangoproject.com/en/6.0/ref/csp/
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.policy = "; ".join(" ".join([directive, *sources]) for directive, sources in settings.SECURE_CSP.items())

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # Django's error pages for development contain their style and script, which the policy would block.
        if not (settings.DEBUG and response.status_code in {404, 500}):
            response.headers.setdefault("Content-Security-Policy", self.policy)
        return response
