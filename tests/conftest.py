"""Fixtures of all layers: a rendered project, a virtual environment with the packages of generated projects, and a
stack in Docker. Without a Docker engine, the tests that need one are skipped, with a reason.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_cookies.plugin import Cookies

from tests.answers import PROJECT, PROMPTS, TEMPLATE, Answers, every_pair, named
from tests.packages import pyproject_of_all
from tests.running import server
from tests.running.stack import Stack, engine_answers, give_to_container_user

SLUG = "smoke_project"  # the same for all stacks, so that their images share layers
STARTED = {"stack", "site", "found"}  # fixtures that start something which the tests of a file share
SHARED_BY_ALL = "found"  # this one is the same for all parameters of its tests
# Files that are started first, so that none of their tests runs alone at the end.
LONGEST = {"test_generated_suite", "test_local", "test_health", "test_smoke", "test_stops", "test_worker_pools"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the whole fault suite, not its short form only")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests that share a started stack or a rendered project run in the same process, so that it is made only once.

    The longest tests come first, so that no process has to wait for them at the end.
    """
    items.sort(key=lambda item: item.path.stem not in LONGEST)
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        callspec = getattr(item, "callspec", None)
        parameters = callspec.params if callspec and SHARED_BY_ALL not in names else {}
        which = [parameters[name] for name in ("answers", "broker", "stack", "site") if name in parameters]
        words = [named(value) if isinstance(value, dict) else str(value) for value in which]
        if names & STARTED:
            words.insert(0, item.path.stem)
        elif not ("bake" in names and words):
            continue
        item.add_marker(pytest.mark.xdist_group("-".join(words)))


@pytest.fixture(scope="session")
def bake(cookies_session: Cookies) -> Callable[..., Path]:
    """Return a function that renders the template in this process, once for each set of answers, and returns the
    project's folder. Whoever changes files there asks for `bake_fresh`.
    """
    baked: dict[tuple, Path] = {}

    def _bake(**answers: str | bool) -> Path:
        key = tuple(sorted(answers.items()))
        if key not in baked:
            baked[key] = _render(cookies_session, answers)
        return baked[key]

    return _bake


@pytest.fixture(scope="session")
def bake_fresh(cookies_session: Cookies) -> Callable[..., Path]:
    """Return a function that renders the template in this process and returns a folder of the caller's own."""
    return lambda **answers: _render(cookies_session, answers)


def _render(cookies: Cookies, answers: Answers) -> Path:
    unknown = set(answers) - set(PROMPTS)  # cookiecutter ignores them silently
    assert not unknown, f"no such prompt: {unknown}"
    result = cookies.bake(extra_context=answers)
    if result.exception:
        raise result.exception
    return result.project_path


@pytest.fixture(scope="session")
def generated_venv(bake: Callable[..., Path]) -> Path:
    """Return the `bin` of a virtual environment with the packages of all answers, in the versions of constraints.txt.

    It is kept in the repository's folder and made again when the packages change.
    """
    venv = TEMPLATE / ".venv-generated"
    files = [PROJECT / "pyproject.toml", PROJECT / "constraints.txt", TEMPLATE / "cookiecutter.json"]
    key = hashlib.sha256("\n".join([sys.version, *(file.read_text() for file in files)]).encode()).hexdigest()
    mark = venv / "made-for"
    with (TEMPLATE / ".venv-generated.lock").open("w") as lock:
        # `make quick` has several processes, of which the first makes it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != key:
            _make(venv, bake)
            mark.write_text(key)
    return venv / "bin"


def _make(venv: Path, bake: Callable[..., Path]) -> None:
    projects = [bake(**answers) for answers in every_pair()]  # no package depends on more than two answers
    pyproject, constraints = pyproject_of_all(projects), projects[0] / "constraints.txt"
    shutil.rmtree(venv, ignore_errors=True)
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    (venv / "pyproject.toml").write_text(pyproject)
    install = [*uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(venv), "--require-hashes"]
    what = ["--constraint", str(constraints), "--requirement", "pyproject.toml", "--group", "dev"]
    subprocess.run([*install, *what], cwd=venv, check=True)


@pytest.fixture(scope="session")
def docker() -> None:
    if not engine_answers():
        pytest.skip("no Docker engine answers (docker info)")


@pytest.fixture(scope="session")
def running(docker: None, bake_fresh: Callable[..., Path]) -> Iterator[Callable]:
    """Return a context manager: a started stack with these answers, gone with its data afterwards.

    `change(folder)` may spoil the project before it starts; `seconds` is how long it may take to be healthy; with
    `production` it runs as on a server; `files` are the compose files, if not those that compose finds by itself;
    with `services`, only these and what they depend on start.
    """
    names: list[str] = []

    @contextmanager
    def _running(
        change: Callable[[Path], None] = lambda folder: None,
        seconds: int = 180,
        production: bool = False,
        files: Iterable[str] = (),
        services: Iterable[str] = (),
        **answers: str | bool,
    ) -> Iterator[Stack]:
        folder = bake_fresh(project_slug=SLUG, **answers)
        if production:
            server.prepare(folder)
            files = server.FILES
        give_to_container_user(folder)
        change(folder)
        names.append(f"smoke-{os.getpid()}-{len(names) + 1}")
        stack = Stack(folder, names[-1], files)
        try:
            stack.up(seconds, services)
            yield stack
        finally:
            stack.down()

    yield _running
    # If a stack builds its image again, the new image gets the name. Delete the old ones, which have no name any more.
    for name in names:
        mine = f"label=com.docker.compose.project={name}"
        subprocess.run(["docker", "image", "prune", "--force", "--filter", mine], capture_output=True, check=False)
