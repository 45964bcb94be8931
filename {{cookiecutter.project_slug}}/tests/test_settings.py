"""Production settings in a process of their own."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

COMPLETE = {
    "SECRET_KEY": "abcde12345" * 5,
    "ALLOWED_HOSTS": "{{ cookiecutter.domain_name }}",
    "DATABASE_URL": "postgres://user:password@localhost:5432/name",
    "CELERY_BROKER_URL": "memory://",
{% if cookiecutter.result_backend == "redis" %}
    "CELERY_RESULT_BACKEND": "cache+memory://",
{% endif %}
}


def check_production(environment):
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
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
