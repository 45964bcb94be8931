"""Docker is needed here: without an engine the tests are left out, and say so."""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.running.stack import Stack, engine_answers

SLUG = "smoke_project"  # one for all: their images share the layers


@pytest.fixture(scope="session")
def docker():
    if not engine_answers():
        pytest.skip("no Docker engine answers (docker info)")
    yield
    subprocess.run(["docker", "image", "rm", "--force", f"{SLUG}:development"], capture_output=True, check=False)


@pytest.fixture(scope="session")
def running(docker, bake_fresh) -> Callable:
    """Return a context manager: a started stack with these answers, gone with its data afterwards.

    `change(folder)` may spoil the project before it starts; `seconds` is how long it may take to be healthy; `files`
    are the compose files, if not those that compose finds by itself.
    """
    numbers = count(1)

    @contextmanager
    def _running(
        change: Callable[[Path], None] = lambda folder: None, seconds: int = 180, files: Iterable[str] = (), **answers
    ) -> Iterator[Stack]:
        folder = bake_fresh(project_slug=SLUG, **answers)
        give_to_container_user(folder)
        change(folder)
        stack = Stack(folder, f"smoke-{os.getpid()}-{next(numbers)}", files)
        try:
            stack.up(seconds)
            yield stack
        finally:
            stack.down()

    return _running


def give_to_container_user(folder: Path) -> None:
    """Root's files don't belong to the containers' user, who has the ids that .env names in that case."""
    if os.getuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, 1000, 1000)
