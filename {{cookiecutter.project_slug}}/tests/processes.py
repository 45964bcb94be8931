"""Commands of the project, started on this machine as the image starts them: with production's settings."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from tests.waiting import wait_for


def environment(folder: Path) -> dict[str, str]:
    """Return the variables that production asks for. What a process writes goes to `folder`."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "config.settings.prod",
        "SECRET_KEY": "abcde12345" * 5,
        "ALLOWED_HOSTS": "{{ cookiecutter.domain_name }}",
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        "CELERY_BROKER_URL": "memory://",
        "CELERY_RESULT_BACKEND": "cache+memory://",
    }


@contextmanager
def started(*command: str, log: Path, **variables: str) -> Iterator[subprocess.Popen]:
    """Start a command, whose output goes to `log`. At the end it gets SIGTERM, and must end within ten seconds."""
    with log.open("w") as file:
        process = subprocess.Popen(  # noqa: S603  the command is ours
            command,
            cwd=settings.BASE_DIR,
            env=environment(log.parent) | variables,
            stdout=file,
            stderr=file,
        )
    try:
        yield process
        process.terminate()
        assert process.wait(timeout=10) == 0, log.read_text()
    finally:
        process.kill()


@contextmanager
def gunicorn(log: Path, **variables: str) -> Iterator[str]:
    """Start gunicorn with the image's options on a free port of this machine. Yields its address."""
    here = ["--bind", "127.0.0.1:0", "--worker-tmp-dir", str(log.parent)]
    with started("gunicorn", "--config", "python:config.gunicorn", *here, "config.wsgi", log=log, **variables):

        def address():
            return re.search(r"Listening at: (http://[\d.:]+)", log.read_text())

        yield wait_for(address, "gunicorn's address", seconds=30)[1]
