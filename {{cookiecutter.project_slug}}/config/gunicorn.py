"""gunicorn's options in the image: `gunicorn --config python:config.gunicorn config.wsgi`.

Times are in seconds. https://gunicorn.org/reference/settings/
"""

import os

from django.conf import settings
from gunicorn import glogging
from gunicorn.http import wsgi

bind = "0.0.0.0:8000"

# As many as settings/base.py says, where the connections to the database follow from them.
workers = settings.WEB_PROCESSES
threads = settings.WEB_THREADS
# A process is replaced after about so many requests, which bounds what a leak can take, and not all at the same moment.
# Price: some seconds with a process less.
max_requests = 1000
max_requests_jitter = 100

# A process that does not answer gunicorn for so long is killed. Not a limit for a request: threads work on those.
timeout = 30
# A proxy may use a connection again within this time; nginx is told 3 seconds.
keepalive = 5
# A process that is told to stop ends its requests; what still runs then is cut off. compose.yaml's stop_grace_period is
# longer. Price: an upload that takes longer has to be sent again after a deploy.
graceful_timeout = 25
# What processes touch to show that they live stays in memory: on a slow disk one would seem to be stuck.
# https://gunicorn.org/faq/
worker_tmp_dir = "/dev/shm"  # noqa: S108  the containers have one each
# Nobody asks for it.
control_socket_disable = True

# TLS ends at the proxy, which says so in X-Forwarded-Proto. Anybody can send that header, so it counts only if it comes
# from one of these addresses, and makes Django's request.is_secure() true. (SECURE_PROXY_SSL_HEADER believes anybody.)
# Price: a proxy that moves to another address has to be named anew.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}


class Response(wsgi.Response):
    """Does not name the server, which helps only those who look for one with a known hole."""

    def default_headers(self):
        return [header for header in super().default_headers() if not header.startswith("Server:")]


# There is no option for it: https://github.com/benoitc/gunicorn/issues/825
wsgi.Response = Response


class Logger(glogging.Logger):
    """Writes a line for each request, with its fields apart. Not for the probes, which come all the time."""

    def access(self, resp, req, environ, request_time):
        if req.path in {"/livez", "/readyz"}:
            return
        sent = resp.sent
        if not sent and req.method != "HEAD":  # of a file, which the kernel sends, gunicorn counts nothing
            sent = resp.response_length or 0
        # The proxy appends the address of its client. Only the proxy can make a request one with https.
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "") if req.scheme == "https" else ""
        fields = {
            "method": req.method,
            "path": req.path,  # and not the query, which may hold a secret
            "status": int(resp.status[:3]),
            "bytes": sent,
            "duration_ms": round(request_time.total_seconds() * 1000),
            "client": forwarded.rpartition(",")[2].strip() or environ["REMOTE_ADDR"],
            "user_agent": environ.get("HTTP_USER_AGENT", ""),
        }
        self.access_log.info("%(method)s %(path)s %(status)s", fields, extra=fields)


logger_class = Logger
logconfig_dict = settings.LOGGING
