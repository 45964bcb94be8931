"""What a developer types first in a new project does what they expect."""

import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.running.ports import free_port


@pytest.fixture
def type_in(generated_venv, tmp_path):
    """Return a function that runs a command to its end in a project, with the packages of the project.

    `docker` is a line of shell that replaces the docker command. The default, `exit 1`, is a Docker in which nothing
    runs.
    """

    def _type_in(project: Path, *command: str, docker="exit 1", **environment) -> subprocess.CompletedProcess:
        programs = tmp_path / "programs"
        programs.mkdir(exist_ok=True)
        (programs / "docker").write_text(f"#!/bin/sh\n{docker}\n")
        (programs / "docker").chmod(0o755)
        path = f"{programs}:{generated_venv}:/usr/bin:/bin"
        environment = {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment}
        return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=120)

    return _type_in


@pytest.fixture
def make(type_in, generated_venv):
    """Return a function that runs `make` in a project. It uses a virtual environment that exists already, so make
    installs nothing.
    """
    there = ["--old-file", ".venv/installed", f"BIN={generated_venv}"]

    def _make(project: Path, *arguments: str, **options) -> subprocess.CompletedProcess:
        return type_in(project, "make", "--no-print-directory", *there, *arguments, **options)

    return _make


def test_without_docker_make_manage_runs_manage_py_here_and_says_so(bake, make):
    done = make(bake(), "manage", "ARGS=shell --verbosity 0 --command 'print(4 + 5)'")

    assert done.stdout == "9\n"
    assert "Web does not run in Docker" in done.stderr


def test_while_the_stack_runs_make_manage_runs_manage_py_in_web(bake, make):
    done = make(bake(), "manage", "ARGS=migrate --plan", docker='test "$2" = ps && echo 1234 || echo "$@"')

    assert done.stdout == "compose exec --no-TTY web python manage.py migrate --plan\n"


def test_while_the_stack_runs_make_superuser_runs_manage_py_in_web(bake, make):
    done = make(bake(), "superuser", docker='test "$2" = ps && echo 1234 || echo "$@"')

    assert done.stdout == "compose exec --no-TTY web python manage.py createsuperuser\n"


def test_make_lock_does_not_install_what_constraints_txt_has_not_got_yet(bake_fresh):
    project = bake_fresh()
    packages = project / "pyproject.toml"
    packages.write_text(packages.read_text().replace("dependencies = [\n", 'dependencies = [\n    "humanize>=4",\n'))

    done = subprocess.run(["make", "--dry-run", "lock"], cwd=project, capture_output=True, text=True, timeout=60)

    assert "uv pip compile" in done.stdout
    assert "--requirement pyproject.toml" not in done.stdout


def test_make_manage_fails_when_manage_py_fails(bake, make):
    assert make(bake(), "manage", "ARGS=nonsense").returncode != 0


@pytest.mark.parametrize("answers", [{}, {"jobs": "none", "beat": False}], ids=["default", "no jobs, no beat"])
def test_a_new_app_passes_the_linters_before_and_after_it_is_installed(bake_fresh, make, answers):
    project = bake_fresh(**answers)

    started = make(project, "manage", "ARGS=startapp shop")
    before = make(project, "lint")
    settings = project / "config/settings/base.py"
    settings.write_text(settings.read_text().replace('    "ops",\n', '    "ops",\n    "shop",\n'))
    after = make(project, "lint")

    assert started.returncode == 0, started.stderr
    assert before.returncode == 0, before.stdout + before.stderr
    assert after.returncode == 0, after.stdout + after.stderr
    made = {str(path.relative_to(project / "shop")) for path in (project / "shop").rglob("*.py")}
    assert made >= {"__init__.py", "admin.py", "apps.py", "migrations/__init__.py", "models.py", "tasks.py", "views.py"}
    assert 'name = "shop"' in (project / "shop/apps.py").read_text()


SHOW_KEY = ["python", "manage.py", "shell", "--verbosity", "0", "--command"]
SHOW_KEY += ["from django.conf import settings; print(settings.SECRET_KEY)"]


def secret_key(project: Path) -> str:
    return re.search("(?m)^SECRET_KEY=(.*)$", (project / ".env").read_text())[1]


def test_manage_py_has_the_secret_key_of_make_local(bake, type_in):
    assert type_in(bake(), *SHOW_KEY).stdout == f"{secret_key(bake())}\n"


def test_celerys_commands_have_the_secret_key_of_make_local(bake, type_in):
    code = "import config; from django.conf import settings; print(settings.SECRET_KEY)"

    assert type_in(bake(), "python", "-c", code).stdout == f"{secret_key(bake())}\n"


def test_a_variable_that_is_set_wins_over_dotenv(bake, type_in):
    assert type_in(bake(), *SHOW_KEY, SECRET_KEY="mine").stdout == "mine\n"


def test_development_works_without_dotenv(bake_fresh, type_in):
    project = bake_fresh()
    (project / ".env").unlink()

    assert type_in(project, *SHOW_KEY).stdout == "insecure-and-only-for-development\n"


def test_a_container_does_not_read_dotenv_because_compose_has_read_it(bake, type_in):
    assert type_in(bake(), *SHOW_KEY, READ_DOTENV="no").stdout == "insecure-and-only-for-development\n"
    assert 'READ_DOTENV: "no"' in (bake() / "compose.override.yaml").read_text()


def test_production_and_tests_do_not_read_dotenv(bake_fresh, type_in):
    project = bake_fresh()
    dotenv = (project / ".env").read_text().replace("LOG_LEVEL=INFO", "LOG_LEVEL=DEBUG")
    (project / ".env").write_text(dotenv)
    show = ["python", "-c", "from django.conf import settings; print(settings.LOG_LEVEL)"]

    assert type_in(project, *show, DJANGO_SETTINGS_MODULE="config.settings.dev").stdout == "DEBUG\n"
    assert type_in(project, *show, DJANGO_SETTINGS_MODULE="config.settings.test").stdout == "INFO\n"
    assert "SECRET_KEY is not set" in type_in(project, *show, DJANGO_SETTINGS_MODULE="config.settings.prod").stderr


def test_when_a_process_dies_make_local_says_what_to_do(bake_fresh, make):
    project = bake_fresh(beat=False, jobs="none")
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        dotenv = (project / ".env").read_text().replace("WEB_PORT=8000", f"WEB_PORT={taken.getsockname()[1]}")
        (project / ".env").write_text(dotenv)
        done = make(project, "local")

    assert done.returncode != 0
    assert "That port is already in use" in done.stdout
    assert "run make local again" in done.stderr
    assert "No hostname was supplied" not in done.stdout + done.stderr


RUN_THE_FIRST_JOB = """
from django.contrib.auth import get_user_model
from jobs import registry
from jobs.executor import execute

get_user_model().objects.create_user("ada")
form = registry.get("export_users").form({"since": "2020-01-01"})
assert form.is_valid(), form.errors
key = {"idempotency_key": "users since 2020"}
first, again = submit("export_users", **key, **form.cleaned_data), SUBMIT
assert first == again
execute(str(first.pk))
first.refresh_from_db()
print(first.status, first.result, first.output.read(), first.note)
"""


RUN_THE_FIRST_TASK = """
import django
django.setup()
from config.celery import app
app.conf.task_always_eager = True
IMPORT
print(CALL)
"""


@pytest.mark.parametrize("result_backend", ["redis", "none"])
def test_the_first_task_of_the_readme_runs_word_by_word(bake_fresh, type_in, result_backend):
    project = bake_fresh(result_backend=result_backend)
    page = (project / "README.md").read_text()
    code, sent = re.findall(r"(?ms)^```python\n(.*?)^```", page[page.index("## Your first task") :])[:2]
    imported, call = sent.strip().split("\n\n")

    with (project / "example/tasks.py").open("a") as file:
        file.write(f"\n\n{code}")
    (project / "run.py").write_text(RUN_THE_FIRST_TASK.replace("IMPORT", imported).replace("CALL", call))
    ran = type_in(project, "python", "run.py", DJANGO_SETTINGS_MODULE="config.settings.dev")

    assert ran.returncode == 0, ran.stderr
    assert result_backend == "none" or ran.stdout == "Hello Ada\n"


def test_the_first_job_of_the_docs_runs_word_by_word_and_is_lint_free(bake_fresh, make, type_in):
    project = bake_fresh()
    page = (project / "docs/jobs.md").read_text()
    section = page[page.index("## The first job") : page.index("## Write a job")]
    code, submission = re.findall(r"(?ms)^```python\n(.*?)^```", section)
    [command] = re.findall(r'make manage (ARGS="startapp.*")', section)
    call = submission.splitlines()[-1]

    make(project, "manage", command.replace('"', ""))
    (project / "shop/jobs.py").write_text(code)
    settings = project / "config/settings/base.py"
    settings.write_text(settings.read_text().replace('    "ops",\n', '    "ops",\n    "shop",\n'))
    make(project, "manage", "ARGS=migrate --verbosity 0")
    script = submission.replace(call, "") + RUN_THE_FIRST_JOB.replace("SUBMIT", call)
    (project / "run.py").write_text(f"import django\n\ndjango.setup()\n{script}")
    ran = type_in(project, "python", "run.py", DJANGO_SETTINGS_MODULE="config.settings.dev")
    (project / "run.py").unlink()
    linted = make(project, "lint")

    assert ran.stdout == "succeeded {'users': 1} b'ada\\n' users\n", ran.stderr
    assert linted.returncode == 0, linted.stdout + linted.stderr
