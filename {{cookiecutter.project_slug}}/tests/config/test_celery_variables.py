"""CELERY_BROKER_URL and CELERY_RESULT_BACKEND, which Celery itself reads too. Each test starts a process with its own
variables.
"""

import os
import re
import subprocess
import sys

import pytest
from django.conf import settings

from config.celery import app
from tests.support.processes import RESULTS, environment, started
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

# The scheme of the broker's URL, and the variable with the broker's password.
SCHEME = re.search(r"CELERY_BROKER_URL=(\w+)://", (settings.BASE_DIR / ".env.example").read_text())[1]
PASSWORD = f"{app.task_cls.split('.')[2].upper()}_PASSWORD"
SECRET = "it's @ secret"  # noqa: S105  it protects nothing
QUOTED = "it%27s%20%40%20secret"

SHOW = """
import os
from config.celery import app
print(app.conf.broker_url)
print(app.conf.result_backend)
print(app.connection_for_write().as_uri(include_password=True))
print(*[os.environ.get(name) for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND")])
"""

needs_results = pytest.mark.skipif(not RESULTS, reason="no server keeps the results of this project")
without_results = pytest.mark.skipif(bool(RESULTS), reason="a server keeps the results of this project")


def run(variables, code=SHOW):
    return subprocess.run(  # noqa: S603  the test wrote the code
        [sys.executable, "-c", code],
        env=variables,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def lines(variables):
    """Return what a process with these variables says of its broker and its result backend."""
    answer = run(variables)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()


def bare(module):
    """Return an environment that names the settings module but none of the project's servers."""
    return {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": f"config.settings.{module}", "READ_DOTENV": "no"}


def test_celery_uses_the_brokers_url_with_its_password_and_so_does_a_process_that_inherits_it(tmp_path):
    url = {"CELERY_BROKER_URL": f"{SCHEME}://ada@127.0.0.1:1/0", PASSWORD: SECRET}

    broker, _, used, inherited = lines(environment(tmp_path) | url)

    assert broker == f"{SCHEME}://ada:{QUOTED}@127.0.0.1:1/0"
    assert f"ada:{QUOTED}@127.0.0.1:1/" in used
    assert inherited.startswith(broker)


def test_the_brokers_url_and_its_password_may_come_from_files(tmp_path):
    (tmp_path / "url").write_text(f"{SCHEME}://ada@127.0.0.1:1/0\n")
    (tmp_path / "password").write_text(f"{SECRET}\n")
    files = {"CELERY_BROKER_URL_FILE": str(tmp_path / "url"), f"{PASSWORD}_FILE": str(tmp_path / "password")}

    # environment() sets CELERY_BROKER_URL to another URL, which Celery would prefer. The file must win nevertheless.
    broker, _, used, _ = lines(environment(tmp_path) | files)

    assert broker == f"{SCHEME}://ada:{QUOTED}@127.0.0.1:1/0"
    assert f"ada:{QUOTED}@127.0.0.1:1/" in used


@needs_results
def test_celery_uses_the_result_backends_url_with_its_password(tmp_path):
    url = {"CELERY_RESULT_BACKEND": "redis://127.0.0.1:1/1", "REDIS_PASSWORD": SECRET}

    _, results, _, inherited = lines(environment(tmp_path) | url)

    assert results == f"redis://:{QUOTED}@127.0.0.1:1/1"
    assert inherited.endswith(results)


@needs_results
def test_the_result_backends_url_may_come_from_a_file(tmp_path):
    (tmp_path / "url").write_text("redis://127.0.0.1:1/1\n")

    _, results, _, _ = lines(environment(tmp_path) | {"CELERY_RESULT_BACKEND_FILE": str(tmp_path / "url")})

    assert results == "redis://127.0.0.1:1/1"


@without_results
def test_a_variable_that_would_switch_the_result_backend_is_refused_in_one_line(tmp_path):
    answer = run(environment(tmp_path) | {"CELERY_RESULT_BACKEND": f"redis://:{QUOTED}@127.0.0.1:1/1"})

    assert answer.returncode == 3
    assert answer.stderr.startswith("CELERY_RESULT_BACKEND is set, but this project ")
    assert len(answer.stderr.splitlines()) == 1
    assert QUOTED not in answer.stderr


@without_results
def test_a_variable_that_names_the_projects_own_result_backend_is_accepted(tmp_path):
    own = app.conf.result_backend

    _, results, _, _ = lines(environment(tmp_path) | {"CELERY_RESULT_BACKEND": own or ""})

    assert results == str(own)


def test_without_the_variables_development_uses_files():
    broker, results, _, _ = lines(bare("dev"))

    assert broker.startswith("filesystem://")
    assert results.startswith("file:///") if RESULTS else results == str(app.conf.result_backend)


def test_without_the_variables_tests_use_memory():
    broker, results, _, _ = lines(bare("test"))

    assert broker == "memory://"
    assert results == "cache+memory://" if RESULTS else results == str(app.conf.result_backend)


def test_a_worker_that_logs_everything_and_finds_no_broker_does_not_log_a_password(tmp_path):
    log = tmp_path / "worker.log"
    urls = {"CELERY_BROKER_URL": f"{SCHEME}://ada@127.0.0.1:1/0", PASSWORD: SECRET, "REDIS_PASSWORD": SECRET}
    if RESULTS:
        urls["CELERY_RESULT_BACKEND"] = "redis://127.0.0.1:1/1"

    with started("celery", "-A", "config", "worker", "--pool", "solo", "--loglevel", "DEBUG", log=log, **urls):
        wait_for(lambda: "127.0.0.1:1/" in log.read_text() and "Cannot connect" in log.read_text(), "an error", 30)

    assert "secret" not in log.read_text()
