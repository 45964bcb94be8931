"""Answers /livez and /readyz before any other middleware: no Host header, TLS or session is needed to ask."""

from django.db import connection
from django.db.utils import Error
from django.http import HttpResponse


class HealthMiddleware:
    """/livez: this process answers (200). /readyz: and its database does (200, else 503)."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.path == "/livez":
            return HttpResponse("ok\n", content_type="text/plain")
        if request.path == "/readyz":
            return self.ready()
        return self.get_response(request)

    def ready(self):
        # The broker is left out on purpose: pages still work without it.
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except Error as error:
            return HttpResponse(f"database: {type(error).__name__}\n", status=503, content_type="text/plain")
        return HttpResponse("ok\n", content_type="text/plain")
