"""schemathesis makes good and bad requests from the API's schema; the running project answers each one properly."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.running.program import Program

CONFIG = """
# Half of the requests about a job are about a job that exists, because a random id finds none.
[dictionaries.jobs]
values = ["{job}"]
[parameters]
"path.id" = {{ dictionary = "jobs", probability = 0.5 }}

# The settings below keep schemathesis from reporting correct answers as errors.

# Otherwise it would conclude from one refusal that every kind has the field that the refusal names.
[phases.fuzzing.error-feedback]
enabled = false

# An empty ?page= is the first page; a kind with NUL in it is refused.
[[operations]]
include-name = "GET /api/jobs/"
[operations.checks]
negative_data_rejection.enabled = false
positive_data_acceptance.enabled = false

# It can't make a JPEG.
[[operations]]
include-name = "POST /api/jobs/"
[operations.checks]
positive_data_acceptance.enabled = false
"""


def without_throttles(folder: Path) -> None:
    with (folder / "config/settings/dev.py").open("a") as settings:
        settings.write('\nDEBUG = False\nALLOWED_HOSTS = ["*"]\n')
        settings.write('REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] = {"user": None, "submit": None}\n')


@pytest.fixture
def program(running):
    with running(without_throttles) as stack:
        yield Program.with_new_user(stack)


def test_no_request_is_answered_with_an_error_of_the_server_or_against_the_schema(program, tmp_path):
    job = program.submit("add", x=4, y=5)["id"]
    (tmp_path / "schemathesis.toml").write_text(CONFIG.format(job=job))
    command = [str(Path(sys.executable).with_name("st")), "run", f"{program.url}/api/schema/", "--seed", "1"]
    command += ["--max-examples", "50", "--header", f"Authorization: {program.session.headers['Authorization']}"]

    # In a separate folder, because schemathesis writes what it learns to the folder in which it runs.
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout, done.stdout
