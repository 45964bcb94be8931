"""The subject of a commit fits on one line of `git log --oneline` and of a page that lists commits."""

import subprocess
from pathlib import Path

import pytest

from tests.answers import TEMPLATE

LONGEST = 72  # characters
# The subjects up to this commit were written before the rule.
LAST_OLD_COMMIT = "79972bec469eb09f2c8ce5b8707ab11daf667e88"


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)


def subjects(folder: Path) -> list[str]:
    """Return the subjects of the commits that have to keep the rule.

    A shallow clone may lack the last old commit. Then only the newest commit is checked, because nothing tells which
    others are newer than that commit.
    """
    is_there = git(folder, "cat-file", "-e", f"{LAST_OLD_COMMIT}^{{commit}}").returncode == 0
    newer = [f"{LAST_OLD_COMMIT}..HEAD"] if is_there else ["--max-count=1", "HEAD"]
    done = git(folder, "log", "--no-merges", "--format=%s", *newer)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def too_long(folder: Path) -> list[str]:
    return [subject for subject in subjects(folder) if len(subject) > LONGEST]


@pytest.fixture
def history() -> Path:
    """The template's folder, if it is itself a repository with commits, and not only a folder in another one."""
    try:
        found = git(TEMPLATE, "rev-parse", "--verify", "--show-toplevel", "HEAD")
    except FileNotFoundError:
        pytest.skip("git is not installed, so there are no subjects of commits to check")
    if found.returncode or Path(found.stdout.splitlines()[0]).resolve() != TEMPLATE:
        pytest.skip(f"no git history here, so there are no subjects of commits to check {found.stderr}".strip())
    return TEMPLATE


def test_a_subject_has_at_most_72_characters(history):
    assert too_long(history) == []


def test_a_shallow_clone_is_checked_as_far_as_it_goes(history, tmp_path):
    done = git(tmp_path, "clone", "--quiet", "--depth", "1", history.as_uri(), "shallow")
    assert done.returncode == 0, done.stderr

    assert len(subjects(tmp_path / "shallow")) <= 1
    assert too_long(tmp_path / "shallow") == []


@pytest.mark.parametrize(("length", "is_too_long"), [(72, False), (73, True)])
def test_a_subject_that_is_too_long_is_found(history, tmp_path, length, is_too_long):
    person = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
    assert git(tmp_path, "init", "--quiet").returncode == 0
    done = git(tmp_path, *person, "commit", "--quiet", "--allow-empty", "--message", "x" * length)
    assert done.returncode == 0, done.stderr

    assert too_long(tmp_path) == (["x" * length] if is_too_long else [])
