"""The image as it comes: production."""

import subprocess

import pytest

from tests.running.stack import Stack
from tests.running.waiting import wait_for


@pytest.fixture(scope="module")
def stack(running):
    with running(production=True) as stack:
        yield stack


def run(stack: Stack, *command: str) -> subprocess.CompletedProcess:
    """Run a command in a container of its own, with the environment that the image has."""
    alone = ["docker", "run", "--rm", "--network", "none", stack.image("latest")]
    return subprocess.run([*alone, *command], capture_output=True, text=True, timeout=60)


def test_a_task_is_executed_with_production_settings(stack):
    code = "from example.tasks import add; print(add.delay(4, 5).get(timeout=20))"

    assert stack.shell(code) == "9"
    assert "DJANGO_SETTINGS_MODULE=config.settings.prod" in stack.compose("exec", "--no-TTY", "worker", "env").stdout
    stack.check_logs()


def test_what_a_job_writes_in_the_worker_is_there_for_web(stack):
    job = stack.shell("from jobs import submit; print(submit('build_report', rows=10).pk)")
    status = f"SELECT status FROM jobs_job WHERE id = '{job}'"
    this = f"from jobs.models import Job; job = Job.objects.get(pk={job!r}); "

    wait_for(lambda: stack.sql(status) == [["succeeded"]], "the end of the report", seconds=30)

    assert stack.shell(this + "print(len(job.output.readlines()))") == "11"


@pytest.mark.parametrize("command", [[], ["python", "manage.py", "check"], ["celery", "-A", "config", "worker"]])
def test_it_refuses_to_start_and_names_each_missing_variable_in_a_line(stack, command):
    done = run(stack, *command)

    stores = ["DATABASE_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "CACHE_URL"]
    for name in ["SECRET_KEY", "ALLOWED_HOSTS", "EMAIL_URL", *stores]:
        assert done.stderr.count(f"{name} is not set: ") == 1
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_it_runs_as_a_numeric_user_without_rights(stack):
    assert run(stack, "id", "-u").stdout == "10001\n"
    assert run(stack, "touch", "/app/file").returncode != 0


def test_it_has_the_collected_static_files_and_nothing_that_production_does_not_need(stack):
    assert run(stack, "test", "-f", "var/static/staticfiles.json").returncode == 0
    for absent in ["/app/.env", "/app/tests", "/app/compose.yaml", "/opt/venv/bin/pytest", "/opt/venv/bin/uv"]:
        assert run(stack, "test", "!", "-e", absent).returncode == 0, absent
    assert run(stack, "find", "/opt/venv", "-name", "*.po").stdout == ""
