"""Health checks of web.

They are answered before Django's middleware, so that a probe needs no valid Host header, no TLS and no session.
"""

from collections.abc import Callable

from django.db import connection
from django.db.utils import Error
from django.http import HttpRequest, HttpResponse


class HealthMiddleware:
    """Answers /livez with 200, and /readyz with 200 if the database answers, otherwise with 503."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/livez":
            return HttpResponse("ok\n", content_type="text/plain")
        if request.path == "/readyz":
            return self.ready()
        return self.get_response(request)

    def ready(self) -> HttpResponse:
        """Return 200 if the database answers, otherwise 503.

        The broker is not asked, because pages still work while it is down.
        """
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except Error as error:
            return HttpResponse(f"database: {type(error).__name__}\n", status=503, content_type="text/plain")
        return HttpResponse("ok\n", content_type="text/plain")
