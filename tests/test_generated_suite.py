"""The tests that a generated project ships pass, without Docker. On a set of answers in which each pair meets."""

import subprocess

import pytest

from tests.answers import every_pair, named


@pytest.mark.parametrize("answers", every_pair(), ids=named)
def test_the_generated_tests_pass(bake_fresh, generated_venv, answers):
    done = subprocess.run(
        [generated_venv / "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=bake_fresh(**answers),
        env={"PATH": f"{generated_venv}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )

    assert done.returncode == 0, done.stdout + done.stderr
