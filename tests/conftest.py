"""Fixtures of all layers: a rendered project, and a virtual environment with what generated projects need."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.answers import PACKAGE_PROMPTS, PROMPTS, TEMPLATE, every
from tests.packages import pyproject_of_all


@pytest.fixture(scope="session")
def bake(cookies_session) -> Callable[..., Path]:
    """Return a function that renders the template in this process, once for each set of answers, and returns the
    project's folder. Whoever changes files there asks for `bake_fresh`.
    """
    baked: dict[tuple, Path] = {}

    def _bake(**answers) -> Path:
        key = tuple(sorted(answers.items()))
        if key not in baked:
            baked[key] = _render(cookies_session, answers)
        return baked[key]

    return _bake


@pytest.fixture(scope="session")
def bake_fresh(cookies_session) -> Callable[..., Path]:
    """Return a function that renders the template in this process and returns a folder of the caller's own."""
    return lambda **answers: _render(cookies_session, answers)


def _render(cookies, answers) -> Path:
    unknown = set(answers) - set(PROMPTS)  # cookiecutter ignores them silently
    assert not unknown, f"no such prompt: {unknown}"
    result = cookies.bake(extra_context=answers)
    if result.exception:
        raise result.exception
    return result.project_path


@pytest.fixture(scope="session")
def generated_venv(bake) -> Path:
    """Return the `bin` of a virtual environment with the packages of all answers, in the versions of constraints.txt.

    It is kept in the repository's folder and made anew when the packages change.
    """
    projects = [bake(**answers) for answers in every(*PACKAGE_PROMPTS)]
    pyproject, constraints = pyproject_of_all(projects), projects[0] / "constraints.txt"
    venv = TEMPLATE / ".venv-generated"
    key = hashlib.sha256("\n".join([sys.version, pyproject, constraints.read_text()]).encode()).hexdigest()
    mark = venv / "made-for"
    if not mark.exists() or mark.read_text() != key:
        shutil.rmtree(venv, ignore_errors=True)
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, venv], check=True)
        (venv / "pyproject.toml").write_text(pyproject)
        install = [*uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", venv, "--require-hashes"]
        what = ["--constraint", constraints, "--requirement", "pyproject.toml", "--group", "dev"]
        subprocess.run([*install, *what], cwd=venv, check=True)
        mark.write_text(key)
    return venv / "bin"
