"""gunicorn's options in the image: `gunicorn --config python:config.gunicorn config.wsgi`.

Times are in seconds. https://gunicorn.org/reference/settings/
"""

import os

from django.conf import settings
from gunicorn import glogging
from gunicorn.http import wsgi

bind = "0.0.0.0:8000"

# config/settings/capacity.py sets these numbers and counts the connections to PostgreSQL that they need.
workers = settings.WEB_PROCESSES
threads = settings.WEB_THREADS
# A process is replaced after about this many requests, which limits what a memory leak can take. The jitter keeps the
# processes from being replaced at the same moment. For some seconds there is one process less.
max_requests = 1000
max_requests_jitter = 100

# A process that does not report to gunicorn for this long is killed. This does not limit a request, because threads
# handle the requests.
timeout = 30
# A connection that has been idle for this long is closed. A proxy must close it earlier. Otherwise it may send a
# request on a connection that is just being closed.
keepalive = 5
# A stopping process finishes its requests within this time; then the rest are cut off. stop_grace_period in
# compose.yaml is longer. An upload that takes longer than this has to be sent again after a deploy.
graceful_timeout = 25
# Processes show that they are alive by touching a file. It is in memory, because on a slow disk a process would seem to
# be stuck. https://gunicorn.org/faq/
worker_tmp_dir = "/dev/shm"  # noqa: S108  each container has its own
# gunicorn's control interface, which nothing here uses.
control_socket_disable = True

# The proxy terminates TLS and says so in X-Forwarded-Proto, which makes Django's request.is_secure() true. Anybody can
# send that header, so it is believed only from these addresses. (Django's SECURE_PROXY_SSL_HEADER would believe
# everybody.) If the proxy gets another address, change the variable.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}


class Response(wsgi.Response):
    """A response without the header Server, which only helps attackers to find servers with known holes."""

    def default_headers(self) -> list[str]:
        return [header for header in super().default_headers() if not header.startswith("Server:")]


# gunicorn has no option for this: https://github.com/benoitc/gunicorn/issues/825
wsgi.Response = Response


class Logger(glogging.Logger):
    """Writes a line with separate fields for each request, except for the health checks, which come all the time."""

    def access(self, resp, req, environ, request_time):
        if req.path in {"/livez", "/readyz"}:
            return
        sent = resp.sent
        if not sent and req.method != "HEAD":  # gunicorn does not count a file, which the kernel sends
            sent = resp.response_length or 0
        # The proxy writes its client's address at the end of this header. Only a request from the proxy has the scheme
        # https.
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "") if req.scheme == "https" else ""
        fields = {
            "method": req.method,
            "path": req.path,  # without the query, which may contain a secret
            "status": int(resp.status[:3]),
            "bytes": sent,
            "duration_ms": round(request_time.total_seconds() * 1000),
            "client": forwarded.rpartition(",")[2].strip() or environ["REMOTE_ADDR"],
            "user_agent": environ.get("HTTP_USER_AGENT", ""),
        }
        self.access_log.info("%(method)s %(path)s %(status)s", fields, extra=fields)


logger_class = Logger
logconfig_dict = settings.LOGGING
