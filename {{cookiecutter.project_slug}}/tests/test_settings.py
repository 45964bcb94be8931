"""Production settings in a process of their own."""

import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.core import signing

COMPLETE = {
    "SECRET_KEY": "abcde12345" * 5,
    "ALLOWED_HOSTS": "{{ cookiecutter.domain_name }}",
    "DATABASE_URL": "postgres://user:password@localhost:5432/name",
    "TASK_BROKER_URL": "memory://",
{% if cookiecutter.result_backend == "redis" %}
    "TASK_RESULTS_URL": "cache+memory://",
{% endif %}
}


def check_production(environment):
    return run_in_production(environment, "manage.py", "check", "--deploy", "--fail-level", "WARNING")


def run_in_production(environment, *command):
    return subprocess.run(  # noqa: S603  the command is ours
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
def test_production_refuses_to_start_without(missing):
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
def test_an_address_of_the_admin_that_can_not_work_is_refused_in_one_line(path):
    answer = check_production({**COMPLETE, "ADMIN_PATH": path})

    assert answer.returncode == 3
    assert answer.stderr == f"ADMIN_PATH={path} must end with a / and not begin with one, such as admin/\n"


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("WORKER_CONCURRENCY", "many", "a whole number, such as 2"),
        ("WEB_CPUS", "0.5", "a whole number, such as 1"),
        ("LOG_LEVEL", "loud", "DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_a_value_that_can_not_work_is_refused_in_one_line(name, value, what):
    answer = check_production({**COMPLETE, name: value})

    assert answer.returncode == 3
    assert answer.stderr == f"{name}={value} must be {what}\n"


def test_in_development_too():
    answer = check_production({"DJANGO_SETTINGS_MODULE": "config.settings.dev", "LOG_LEVEL": "loud"})

    assert answer.returncode == 3
    assert answer.stderr == "LOG_LEVEL=loud must be DEBUG, INFO, WARNING or ERROR\n"


@pytest.mark.parametrize("url", ["nonsense", "postgres://ada:love/lace@db:5432/name"])
def test_an_address_that_is_no_url_is_refused_in_one_line_that_does_not_show_it(url):
    answer = check_production({**COMPLETE, "DATABASE_URL": url})

    assert answer.returncode == 3
    assert answer.stderr.startswith("DATABASE_URL is no URL")
    assert len(answer.stderr.splitlines()) == 1
    assert "love" not in answer.stderr
    assert "nonsense" not in answer.stderr


def test_the_admin_is_where_admin_path_says():
    code = "import django; django.setup(); from django.urls import reverse; print(reverse('admin:index'))"

    assert run_in_production({**COMPLETE, "ADMIN_PATH": "back/office/"}, "-c", code).stdout == "/back/office/\n"


def test_what_the_key_before_has_signed_still_counts():
    signed = signing.dumps("ada", key="12345abcde" * 5)
    code = f"from django.core import signing; print(signing.loads({signed!r}))"

    assert run_in_production({**COMPLETE, "SECRET_KEY_FALLBACKS": "12345abcde" * 5}, "-c", code).stdout == "ada\n"
    assert "BadSignature" in run_in_production(COMPLETE, "-c", code).stderr


def test_web_keeps_its_connections_to_the_database_within_the_limits_of_base():
    code = "from django.conf import settings; print(settings.DATABASES['default'])"

    answer = run_in_production(COMPLETE, "-c", code).stdout

    assert "'CONN_MAX_AGE': 60" in answer
    assert "'CONN_HEALTH_CHECKS': True" in answer
    assert "'connect_timeout': 5" in answer


@pytest.mark.parametrize(("cpus", "processes"), [("1", "2"), ("2", "2"), ("3", "3")])
def test_web_has_a_process_for_each_cpu_and_at_least_two(cpus, processes):
    code = "from django.conf import settings; print(settings.WEB_PROCESSES)"

    assert run_in_production({**COMPLETE, "WEB_CPUS": cpus}, "-c", code).stdout == f"{processes}\n"


def test_a_secret_may_end_with_a_line_break_and_stands_in_one_place_only(tmp_path):
    (tmp_path / "password").write_text("it's @ secret\n")
    code = "from config.settings.environment import address; print(address('DATABASE_URL', 'POSTGRES_PASSWORD'))"

    def asked_for(url):
        environment = {"DATABASE_URL": url, "POSTGRES_PASSWORD_FILE": str(tmp_path / "password")}
        command = [sys.executable, "-c", code]
        done = subprocess.run(  # noqa: S603  the command is ours
            command, env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert asked_for("postgres://ada@db:5432/name") == "postgres://ada:it%27s%20%40%20secret@db:5432/name\n"
    assert asked_for("redis://cache:6379/0") == "redis://:it%27s%20%40%20secret@cache:6379/0\n"
    assert asked_for("postgres://ada:other@db:5432/name") == "postgres://ada:other@db:5432/name\n"
    assert asked_for("sqlite:////srv/db.sqlite3") == "sqlite:////srv/db.sqlite3\n"


def test_a_secret_file_that_can_not_be_read_is_an_error_in_one_line(tmp_path):
    environment = {name: value for name, value in COMPLETE.items() if name != "SECRET_KEY"}

    answer = check_production({**environment, "SECRET_KEY_FILE": str(tmp_path / "key")})

    assert answer.returncode == 3
    assert answer.stderr == f"SECRET_KEY_FILE can't be read: No such file or directory: {tmp_path / 'key'}\n"
