"""Commands of the project, started on this machine as the image starts them: with production's settings."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from tests.support.waiting import wait_for

HOST = "example.com"
# A project whose results go to a server needs its URL. Others refuse such a URL.
RESULTS = {"CELERY_RESULT_BACKEND": "cache+memory://"} if "://" in (settings.CELERY_RESULT_BACKEND or "") else {}

WORKER = ["celery", "-A", "config", "worker", "--concurrency", "1", "--without-gossip", "--without-mingle"]
# For a process that knows the views and tasks of tests/support/failing.py.
FAILING = {
    "DJANGO_SETTINGS_MODULE": "tests.support.production",
    "CELERY_BROKER_URL": "filesystem://",
    "PYTHONWARNINGS": "ignore",  # Celery warns if root runs the tests
}


def environment(folder: Path) -> dict[str, str]:
    """Return the variables that production requires. Whatever a process writes goes to `folder`."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "config.settings.prod",
        "SECRET_KEY": "abcde12345" * 5,
        "ALLOWED_HOSTS": HOST,
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        "CELERY_BROKER_URL": "memory://",
        **RESULTS,
        "CACHE_URL": "locmemcache://",
        "EMAIL_URL": "dummymail://",
    }


@contextmanager
def started(*command: str, log: Path, **variables: str) -> Iterator[subprocess.Popen]:
    """Start a command whose output goes to `log`. At the end, kill it if it is still running."""
    with log.open("w") as file:
        process = subprocess.Popen(  # noqa: S603  the test wrote the command
            command,
            cwd=settings.BASE_DIR,
            env=environment(log.parent) | variables,
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def worker(log: Path, *options: str, **variables: str) -> Iterator[subprocess.Popen]:
    """Start a worker that runs one task at a time and knows the tasks of tests/support/failing.py. Wait until it is
    ready.

    Its messages are files next to `log`, unless CELERY_BROKER_URL names a server.
    """
    with started(*WORKER, "--loglevel", "INFO", *options, log=log, **FAILING | variables) as process:
        wait_for(lambda: " ready" in log.read_text(), "a worker that is ready", seconds=30)
        yield process


def send(task: str, log: Path, **variables: str) -> None:
    """Send the task with this name in tests/support/failing.py. The worker whose log is `log`, or one that starts later
    with the same log, takes it, because the messages are files next to the log.
    """
    log = log.with_name("send.log")
    command = ["python", "manage.py", "shell", "-c", f"from tests.support.failing import {task}; {task}.delay()"]
    with started(*command, log=log, **FAILING | variables) as sender:
        assert sender.wait(timeout=30) == 0, log.read_text()


@contextmanager
def gunicorn(log: Path, **variables: str) -> Iterator[str]:
    """Start gunicorn with the image's options on a free port of this machine. Yields its URL.

    At the end gunicorn gets SIGTERM, and must have stopped within 30 seconds.
    """
    here = ["--bind", "127.0.0.1:0", "--worker-tmp-dir", str(log.parent)]
    command = ["gunicorn", "--config", "python:config.gunicorn", *here, "config.wsgi"]
    with started(*command, log=log, **variables) as process:

        def url():
            return re.search(r"Listening at: (http://[\d.:]+)", log.read_text())

        yield wait_for(url, "gunicorn's URL", seconds=30)[1]
        process.terminate()
        assert process.wait(timeout=30) == 0, log.read_text()


def get(web: str, path: str, **headers: str) -> HTTPResponse:
    """Return the response of the web server at this URL, read to its end."""
    connection = HTTPConnection(urlsplit(web).netloc, timeout=30)
    connection.request("GET", path, headers={"Host": HOST, **headers})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response
