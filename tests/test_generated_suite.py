"""The tests that a generated project ships pass, without Docker. On a set of answers in which each pair meets."""

import re
import shutil
import subprocess

import pytest

from tests.answers import every_pair, named


def run(project, venv, command, *arguments) -> subprocess.CompletedProcess:
    environment = {"PATH": f"{venv}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [venv / command, *arguments], cwd=project, env=environment, capture_output=True, text=True, timeout=180
    )


@pytest.mark.parametrize("answers", every_pair(), ids=named)
def test_the_generated_tests_pass(bake_fresh, generated_venv, answers):
    done = run(bake_fresh(**answers), generated_venv, "pytest", "-q")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("beat", [True, False])
def test_the_samples_can_be_deleted_as_the_readme_says(bake_fresh, generated_venv, beat):
    project = bake_fresh(beat=beat)
    for name in ["jobs", "tests/jobs"]:
        shutil.rmtree(project / name)
    for name in ["config/settings/base.py", "config/urls.py"]:
        file = project / name
        file.write_text("".join(line for line in file.open() if '"jobs' not in line))
    settings = project / "config/settings/celery.py"
    settings.write_text(re.sub(r'(?ms)^    "(tick|clean-up)": \{.*?^    \},\n', "", settings.read_text()))
    assert "jobs" not in settings.read_text()

    for command in (["pytest", "-q"], ["python", "manage.py", "check"]):
        done = run(project, generated_venv, *command)
        assert done.returncode == 0, done.stdout + done.stderr
