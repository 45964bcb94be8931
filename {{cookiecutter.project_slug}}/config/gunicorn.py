"""gunicorn's options in the image: `gunicorn --config python:config.gunicorn config.wsgi`.

Times are in seconds. https://gunicorn.org/reference/settings/
"""

import os

from django.conf import settings
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
