"""Settings, loaded in a process of their own as production loads them."""

import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.core import signing

from tests.support.processes import RESULTS

pytestmark = pytest.mark.slow

COMPLETE = {
    "SECRET_KEY": "abcde12345" * 5,
    "ALLOWED_HOSTS": "example.com",
    "DATABASE_URL": "postgres://user:password@localhost:5432/name",
    "CELERY_BROKER_URL": "memory://",
    "CACHE_URL": "locmemcache://",
    "EMAIL_URL": "dummymail://",
    **RESULTS,
}


def check_production(environment):
    """Run Django's checks for a deployment with exactly these variables."""
    return run_in_production(environment, "manage.py", "check", "--deploy", "--fail-level", "WARNING")


def run_in_production(environment, *command):
    return subprocess.run(  # noqa: S603  the test wrote the command
        [sys.executable, *command],
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings.prod", **environment},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_production_passes_djangos_deployment_check():
    answer = check_production(COMPLETE)

    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("missing", COMPLETE)
def test_production_refuses_to_start_without_a_required_variable(missing):
    answer = check_production({name: value for name, value in COMPLETE.items() if name != missing})

    assert answer.returncode != 0
    assert answer.stderr.startswith(f"{missing} is not set: ")
    assert len(answer.stderr.splitlines()) == 1


def test_a_secret_may_come_from_a_file(tmp_path):
    (tmp_path / "key").write_text(COMPLETE["SECRET_KEY"])
    environment = {name: value for name, value in COMPLETE.items() if name != "SECRET_KEY"}

    answer = check_production({**environment, "SECRET_KEY_FILE": str(tmp_path / "key")})

    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("path", ["", "/", "/admin/", "admin"])
def test_an_admin_path_that_cannot_work_is_refused_in_one_line(path):
    answer = check_production({**COMPLETE, "ADMIN_PATH": path})

    assert answer.returncode == 3
    assert answer.stderr == f"ADMIN_PATH={path} must end with a / and not begin with one, such as admin/\n"


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("WEB_CPUS", "many", "a whole number, such as 1"),
        ("WEB_CPUS", "0.5", "a whole number, such as 1"),
        ("LOG_LEVEL", "loud", "DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_a_value_that_cannot_work_is_refused_in_one_line(name, value, what):
    answer = check_production({**COMPLETE, name: value})

    assert answer.returncode == 3
    assert answer.stderr == f"{name}={value} must be {what}\n"


def test_a_value_that_cannot_work_is_refused_in_development_too():
    answer = check_production({"DJANGO_SETTINGS_MODULE": "config.settings.dev", "LOG_LEVEL": "loud"})

    assert answer.returncode == 3
    assert answer.stderr == "LOG_LEVEL=loud must be DEBUG, INFO, WARNING or ERROR\n"


@pytest.mark.parametrize("url", ["nonsense", "postgres://ada:love/lace@db:5432/name"])
def test_a_text_that_is_not_a_url_is_refused_in_one_line_that_does_not_show_it(url):
    answer = check_production({**COMPLETE, "DATABASE_URL": url})

    assert answer.returncode == 3
    assert answer.stderr.startswith("DATABASE_URL is not a URL")
    assert len(answer.stderr.splitlines()) == 1
    assert "love" not in answer.stderr
    assert "nonsense" not in answer.stderr


def test_the_admin_is_where_admin_path_says():
    code = "import django; django.setup(); from django.urls import reverse; print(reverse('admin:index'))"

    assert run_in_production({**COMPLETE, "ADMIN_PATH": "back/office/"}, "-c", code).stdout == "/back/office/\n"


def test_what_the_previous_key_has_signed_is_still_accepted():
    signed = signing.dumps("ada", key="12345abcde" * 5)
    code = f"from django.core import signing; print(signing.loads({signed!r}))"

    assert run_in_production({**COMPLETE, "SECRET_KEY_FALLBACKS": "12345abcde" * 5}, "-c", code).stdout == "ada\n"
    assert "BadSignature" in run_in_production(COMPLETE, "-c", code).stderr


def test_production_keeps_connections_and_has_the_timeout_of_base_py():
    code = "from django.conf import settings; print(settings.DATABASES['default'])"

    answer = run_in_production(COMPLETE, "-c", code).stdout

    assert "'CONN_MAX_AGE': 60" in answer
    assert "'CONN_HEALTH_CHECKS': True" in answer
    assert "'connect_timeout': 5" in answer


def test_a_password_file_may_end_with_a_line_break_and_only_a_url_without_password_gets_it(tmp_path):
    (tmp_path / "password").write_text("it's @ secret\n")
    code = (
        "from config.settings.environment import url_with_password;"
        "print(url_with_password('DATABASE_URL', 'POSTGRES_PASSWORD'))"
    )

    def completed(url):
        environment = {**COMPLETE, "DATABASE_URL": url, "POSTGRES_PASSWORD_FILE": str(tmp_path / "password")}
        return run_in_production(environment, "-c", code).stdout

    assert completed("postgres://ada@db:5432/name") == "postgres://ada:it%27s%20%40%20secret@db:5432/name\n"
    assert completed("redis://cache:6379/0") == "redis://:it%27s%20%40%20secret@cache:6379/0\n"
    assert completed("postgres://ada:other@db:5432/name") == "postgres://ada:other@db:5432/name\n"
    assert completed("sqlite:////srv/db.sqlite3") == "sqlite:////srv/db.sqlite3\n"


def test_a_secret_file_that_cannot_be_read_is_an_error_in_one_line(tmp_path):
    environment = {name: value for name, value in COMPLETE.items() if name != "SECRET_KEY"}

    answer = check_production({**environment, "SECRET_KEY_FILE": str(tmp_path / "key")})

    assert answer.returncode == 3
    assert answer.stderr == f"SECRET_KEY_FILE can't be read: No such file or directory: {tmp_path / 'key'}\n"
