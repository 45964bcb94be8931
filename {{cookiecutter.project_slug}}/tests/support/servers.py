"""Servers that the tests start themselves, if they are installed, because `make test` has no Docker.

Each server keeps its data in a temporary folder, and only this machine can reach it.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.waiting import wait_for

START_SECONDS = 30


@contextmanager
def postgresql() -> Iterator[dict[str, Any]]:
    """Start PostgreSQL. Yields its entry for Django's DATABASES."""
    initdb, postgres = programs("initdb", "postgres", package="postgresql")
    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder:
        owner = _owner_of_postgresql(folder)
        data = f"{folder}/data"
        new = [initdb, "--pgdata", data, "--username", "postgres", "--auth", "trust", "--no-locale", "--no-sync"]
        subprocess.run([*new, "--encoding", "UTF8"], cwd=folder, check=True, stdout=subprocess.DEVNULL, **owner)  # noqa: S603
        # It listens on a socket in the folder only. Nothing is synced to the disk, because the data need not survive.
        options = ["-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        with running([postgres, *options], cwd=folder, **owner):

            def answers() -> bool:
                try:
                    psycopg.connect(host=folder, user="postgres", dbname="postgres").close()
                except psycopg.OperationalError:
                    return False
                return True

            wait_for(answers, "an answer from postgres", START_SECONDS)
            yield {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": folder,
                "USER": "postgres",
                "NAME": "postgres",
            }


def programs(*names: str, package: str) -> list[str]:
    """Return the paths of these programs. Skips the test if one is missing."""
    # Debian keeps the programs of PostgreSQL out of PATH, in a folder for each version. The newest one comes first.
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    path = os.pathsep.join([os.environ["PATH"], *map(str, versions)])
    found = [shutil.which(name, path=path) for name in names]
    if None in found:
        pytest.skip(f"needs {' and '.join(names)}: install the package {package}, or run make test-docker")
    return [program for program in found if program]


def _owner_of_postgresql(folder: str) -> dict[str, Any]:
    """Root can't run PostgreSQL. If this is root, give the folder to another user, and return subprocess's options for
    that user.
    """
    if os.geteuid() != 0:
        return {}
    try:
        user = "postgres"
        shutil.chown(folder, user)
    except LookupError:
        user = "nobody"
        shutil.chown(folder, user)
    return {"user": user, "extra_groups": []}


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[None]:
    """Start a server, and stop it at the end. `options` are those of subprocess.Popen."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)  # noqa: S603
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)  # PostgreSQL does not wait for its clients then
        process.wait(timeout=30)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
