"""The files of a generated project agree with each other. Tested on a set of answers that contains each pair of
choices.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.answers import every_pair, named

PAIRS = pytest.mark.parametrize("answers", every_pair(), ids=named)
WORKERS = {"single": {"worker"}, "split": {"worker-default", "worker-io", "worker-cpu"}}

PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "config.settings.prod",
    "SECRET_KEY": "abcde12345" * 5,
    "ALLOWED_HOSTS": "example.com",
    "DATABASE_URL": "postgres://user:password@localhost:5432/name",
    "CELERY_BROKER_URL": "memory://",
    "CACHE_URL": "locmemcache://",
    "EMAIL_URL": "dummymail://",
}


def production(answers) -> dict[str, str]:
    """Return the variables that production requires with these answers."""
    results = {"CELERY_RESULT_BACKEND": "cache+memory://"} if answers["result_backend"] == "redis" else {}
    return PRODUCTION | results


@pytest.fixture
def run(generated_venv):
    """Return a function that runs a command of the generated project and returns its output; it must succeed."""

    def _run(project, command, *arguments, typed=None, **environment) -> str:
        done = subprocess.run(
            [generated_venv / command, *arguments],
            cwd=project,
            env={"PATH": f"{generated_venv}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **environment},
            input=typed,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return _run


@PAIRS
def test_the_code_is_formatted_and_lint_free(bake, run, answers):
    run(bake(**answers), "ruff", "format", "--check", "--no-cache")
    run(bake(**answers), "ruff", "check", "--no-cache")


@PAIRS
def test_imports_go_one_way_and_in_no_circle(bake, run, answers):
    run(bake(**answers), "lint-imports", "--no-cache")


WRONG_IMPORTS = {
    "ops imports jobs": ("ops/logs.py", "from jobs import models", "ops.logs -> jobs.models"),
    "jobs imports example": ("jobs/views.py", "from example import forms", "jobs.views -> example.forms"),
    "jobs imports accounts": ("jobs/admin.py", "import accounts.models", "jobs.admin -> accounts.models"),
    "accounts imports config": ("accounts/models.py", "import config.urls", "accounts.models -> config.urls"),
    "two files import each other": ("jobs/exceptions.py", "from jobs import lifecycle", "lifecycle"),
}


@pytest.mark.parametrize(("file", "line", "said"), WRONG_IMPORTS.values(), ids=WRONG_IMPORTS)
def test_an_import_in_the_wrong_direction_is_found_and_named(bake_fresh, generated_venv, file, line, said):
    project = bake_fresh()
    with (project / file).open("a") as code:
        code.write(f"\n{line}\n")

    done = subprocess.run([generated_venv / "lint-imports"], cwd=project, capture_output=True, text=True, timeout=120)

    assert done.returncode != 0
    assert said in done.stdout


# Together these sets of answers have each choice of jobs, broker and beat.
TYPED = [
    {"jobs": "api"},
    {"jobs": "pages", "broker": "rabbitmq"},
    {"jobs": "none", "broker": "rabbitmq", "result_backend": "none", "beat": False},
]


@pytest.mark.parametrize("answers", TYPED, ids=named)
def test_the_types_fit(bake_fresh, run, answers):
    run(bake_fresh(**answers), "mypy")


# Code at the end of a file, and what mypy says about it.
WRONG_TYPES = {
    "ops/heartbeat.py": ("def wrong() -> int:\n    return alive('beat')", 'got "Path", expected "int"'),
    "ops/logs.py": ("def wrong():\n    return 1", "Function is missing a return type annotation"),
    "accounts/models.py": ("def wrong(user: User) -> int:\n    return user.email", 'got "str", expected "int"'),
    "jobs/models.py": ("def wrong(job: Job) -> str:\n    return job.attempts", 'got "int", expected "str"'),
}


def test_types_that_do_not_fit_are_found_in_our_folders_and_not_in_example(bake_fresh, generated_venv):
    """In one run, because each takes five seconds."""
    project = bake_fresh()
    for file, (code, _) in {
        **WRONG_TYPES,
        "example/models.py": ("def wrong(x):\n    return x\nx: int = ''", ""),
    }.items():
        with (project / file).open("a") as module:
            module.write(f"\n\n{code}\n")

    done = subprocess.run([generated_venv / "mypy"], cwd=project, capture_output=True, text=True, timeout=120)

    assert done.returncode != 0
    for file, (_, said) in WRONG_TYPES.items():
        assert re.search(f"(?m)^{re.escape(file)}:.*{re.escape(said)}", done.stdout), done.stdout
    assert "example/" not in done.stdout


YAMLLINT = """
extends: default
rules:
  line-length: {max: 180}
  document-start: disable
  comments: {min-spaces-from-content: 1}
"""


@PAIRS
def test_linters_have_nothing_to_say_about_compose_files_dockerfile_and_nginx(bake_fresh, answers):
    project = bake_fresh(**answers)
    tools = Path(sys.executable).parent
    commands: list[list[Path | str]] = [
        [tools / "yamllint", "--strict", "--config-data", YAMLLINT, "."],
        [tools / "hadolint", "Dockerfile"],
    ]
    if answers["web_proxy"] == "nginx":
        folder = project / "deploy/nginx"
        for file in folder.glob("*.conf"):  # as if they were mounted where compose mounts them
            file.write_text(file.read_text().replace("/etc/nginx/mime.types", "/dev/null"))
            file.write_text(file.read_text().replace("/etc/nginx/", f"{folder}/"))
        for server in ["http", "tls"]:
            (folder / f"{server}/conf.d").mkdir(parents=True)
            (folder / f"{server}/conf.d/server.conf").write_text((folder / f"{server}.conf").read_text())
            main = folder / f"{server}.nginx.conf"
            main.write_text((folder / "nginx.conf").read_text().replace("conf.d/", f"{server}/conf.d/"))
            commands.append([tools / "gixy", "--skips", "hsts_header", main])  # Django sends it

    for command in commands:
        done = subprocess.run(command, cwd=project, capture_output=True, text=True)
        assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"


DJANGO_CONTRACT = {
    "dev": 'call_command("makemigrations", check_changes=True, dry_run=True)',
    "test": "",
    "prod": 'call_command("check", deploy=True, fail_level="WARNING")',
}
CELERY_CONTRACT = """
from celery.app.defaults import NAMESPACES, flatten
from django.conf import settings
from config.celery import app

known = {"CELERY_" + name.upper() for name, _ in flatten(NAMESPACES)}
known.add("CELERY_DB_REUSE_MAX")  # celery/fixups/django.py reads it, but Celery's list of settings lacks it
ours = {name for name in dir(settings) if name.startswith("CELERY_")}
assert ours <= known, f"Celery does not know {ours - known}"

app.loader.import_default_modules()
queues = {queue.name for queue in app.conf.task_queues}
assert app.conf.task_default_queue in queues
routes = [route["queue"] for route in (app.conf.task_routes or {}).values()]
assert set(routes) <= queues, f"routed to no queue of the project: {set(routes) - queues}"
for name, entry in (app.conf.beat_schedule or {}).items():
    assert entry["task"] in app.tasks, f"beat entry {name} names no task"
    assert entry["options"]["expires"], f"beat entry {name} does not expire"
assert app.conf.timezone == "UTC"
assert not app.conf.task_always_eager
"""


@PAIRS
@pytest.mark.parametrize("module", DJANGO_CONTRACT)
def test_with_each_settings_module_django_and_celery_find_all_that_they_need(bake, run, answers, module):
    """Django's own checks, a migration for each model, and settings, tasks and queues that Celery knows. One process
    asks for everything, because it needs a second to start.
    """
    # With these URLs, development makes no file in the project's folder, which other tests share.
    environment = {"DATABASE_URL": "sqlite://", "CELERY_BROKER_URL": "memory://"}
    environment |= production(answers) if module == "prod" else {"DJANGO_SETTINGS_MODULE": f"config.settings.{module}"}
    start = "import django; django.setup()\nfrom django.core.management import call_command\n"

    run(bake(**answers), "python", "-", typed=start + DJANGO_CONTRACT[module] + CELERY_CONTRACT, **environment)


def explained(project: Path) -> set[str]:
    """The variables that .env.example names, commented out or not."""
    return set(re.findall(r"^(?:# )?([A-Z_]+)=", (project / ".env.example").read_text(), re.MULTILINE))


def composed(project: Path) -> tuple[dict, dict, dict]:
    """Return compose.yaml and what development and production add to it."""
    names = ["compose.yaml", "compose.override.yaml", "compose.prod.yaml"]
    base, development, production = (yaml.safe_load((project / name).read_text()) for name in names)
    return base, development, production


@PAIRS
def test_each_variable_that_the_settings_read_is_explained_and_reaches_the_containers(bake, answers):
    project = bake(**answers)
    base, development, production = composed(project)
    settings = "\n".join(file.read_text() for file in (project / "config").rglob("*.py"))
    read = set(re.findall(r'(?:env(?:\.\w+)?|os\.environ\.get)\(\s*"([A-Z_]+)"', settings))
    read |= set(re.findall(r'url_with_password\("[A-Z_]+", "([A-Z_]+)"', settings))
    read |= set(re.findall(r'url_with_password\("([A-Z_]+)"', settings))
    secrets = {name.removesuffix("_FILE") for name in production["x-ours"]["environment"]}

    assert {"SECRET_KEY", "DATABASE_URL", "CELERY_BROKER_URL", "FORWARDED_ALLOW_IPS", "POSTGRES_PASSWORD"} <= read
    assert {"EMAIL_URL", "EMAIL_PASSWORD", "DEFAULT_FROM_EMAIL"} <= read
    read -= {"READ_DOTENV"}  # whether .env is read can't be in it
    assert read <= explained(project)
    assert read <= set(base["x-app"]["environment"]) | secrets
    only_here = {"DJANGO_SETTINGS_MODULE", "READ_DOTENV"}
    assert secrets | only_here == set(development["x-development"]["environment"])
    assert secrets == {name.upper() for name in production["secrets"]}
    assert "EMAIL_PASSWORD" in secrets


@PAIRS
def test_each_variable_that_compose_reads_is_explained_and_none_is_explained_in_vain(bake, answers):
    project = bake(**answers)
    base, _, _ = composed(project)
    read = set(re.findall(r"\$\{([A-Z_]+)", "".join(file.read_text() for file in project.glob("compose*.yaml"))))
    others = {"COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "DJANGO_SETTINGS_MODULE"}

    assert read <= explained(project)
    assert explained(project) <= read | set(base["x-app"]["environment"]) | others


@PAIRS
def test_ports_are_published_on_this_machine_only_and_can_be_moved(bake, answers):
    base, development, _ = composed(bake(**answers))
    ports = [port for service in development["services"].values() for port in service.get("ports", [])]

    assert not any("ports" in service for service in base["services"].values())
    assert ports
    assert all(re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+_PORT:-\d+\}:\d+", port) for port in ports)


@PAIRS
def test_production_publishes_its_proxy_only_and_locks_down_all_of_ours(bake, answers):
    base, _, production = composed(bake(**answers))
    stores = set(production["services"]) & {"db", "redis", "rabbitmq", "cache"}
    ours = set(production["services"]) - stores
    published = [name for name, service in production["services"].items() if "ports" in service]

    assert published == ["nginx" if answers["web_proxy"] == "nginx" else "web"]
    assert set(base["services"]) <= set(production["services"])
    for name in ours:
        assert production["services"][name].items() >= {"read_only": True, "cap_drop": ["ALL"]}.items(), name
    for name, service in production["services"].items():
        assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"]), name
        assert service["logging"]["options"]["max-size"], name


@PAIRS
def test_nginx_and_django_take_bodies_of_the_same_size(bake, answers):
    project = bake(**answers)
    if answers["web_proxy"] == "none":
        assert not (project / "deploy/nginx").exists()
        return
    megabytes = re.search(r"client_max_body_size (\d+)m;", (project / "deploy/nginx/nginx.conf").read_text())[1]

    assert f"MAX_BODY_BYTES = {megabytes} * 2**20" in (project / "config/settings/base.py").read_text()
    assert f"{megabytes} MB" in (project / "deploy/nginx/errors/413.html").read_text()


@PAIRS
def test_stores_stand_on_a_network_without_a_way_in_or_out(bake, answers):
    base, _, _ = composed(bake(**answers))
    stores = {name for name in base["services"] if name in {"db", "redis", "rabbitmq", "cache"}}

    assert base["networks"]["data"]["internal"] is True
    assert {"db", "cache"} < stores
    assert all(base["services"][name]["networks"] == ["data"] for name in stores)


@PAIRS
def test_each_service_that_keeps_running_has_a_health_check_and_starts_after_what_it_needs(bake, answers):
    base, _, _ = composed(bake(**answers))
    services = base["services"]
    workers = {name for name in services if name.startswith("worker")}
    started_last = {"web", *workers, "dispatcher", "beat"}
    needed = set(services) - started_last - {"db", "migrate"}

    for name in set(services) - {"migrate"}:
        assert services[name]["healthcheck"]["test"], name
    for name in started_last & set(services):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert needed <= set(services[name]["depends_on"])
    healthy = {"condition": "service_healthy"}
    assert services["migrate"]["depends_on"] == {"db": healthy, answers["broker"]: healthy}
    assert workers == WORKERS[answers["worker_pools"]]
    assert ("beat" in services) == answers["beat"]
    assert ("dispatcher" in services) == (answers["jobs"] != "none")


@PAIRS
def test_web_ends_by_itself_before_docker_kills_it(bake, answers):
    project = bake(**answers)
    base, _, _ = composed(project)
    options = (project / "config/gunicorn.py").read_text()
    graceful = int(re.search(r"^graceful_timeout = (\d+)$", options, re.MULTILINE)[1])

    assert base["services"]["web"]["stop_grace_period"] == f"{graceful + 5}s"


@PAIRS
def test_the_makefile_has_at_most_18_verbs_and_prints_them(bake, answers):
    """So that they fit on one screen, beside a terminal's other output."""
    project = bake(**answers)
    verbs = re.findall(r"^([a-z-]+):.*## ", (project / "Makefile").read_text(), re.MULTILINE)

    make = ["make", "--no-print-directory"]  # as if not called by another make
    printed = subprocess.run(make, cwd=project, capture_output=True, text=True, check=True).stdout

    assert len(verbs) <= 18
    assert [line.split()[0] for line in printed.splitlines()] == verbs


@PAIRS
def test_a_second_checkout_with_another_name_has_an_image_of_its_own(bake, answers):
    base, development, _ = composed(bake(**answers))

    for image in [base["x-app"]["image"], development["x-development"]["image"]]:
        assert image.startswith("${COMPOSE_PROJECT_NAME}:")


@PAIRS
def test_a_debugger_listens_on_this_machine_only_and_is_where_the_editor_looks_for_it(bake, answers):
    project = bake(**answers)
    services = yaml.safe_load((project / "compose.debug.yaml").read_text())["services"]
    editor = json.loads((project / ".vscode/launch.json").read_text())["configurations"]
    looked_for = {entry["connect"]["port"] for entry in editor if entry["request"] == "attach"}

    (worker,) = [name for name, service in services.items() if "worker" in service.get("command", [])]
    others = set(services) - {"web", worker}
    assert others == WORKERS[answers["worker_pools"]] - {worker}
    assert all(services[name] == {"scale": 0} for name in others)  # all tasks go to the one with the debugger
    for service in (services["web"], services[worker]):
        port = int(service["command"][service["command"].index("--listen") + 1].rpartition(":")[2])
        assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
        looked_for.remove(port)
    assert not looked_for
    assert {"--pool", "solo"} <= set(services[worker]["command"])  # a pool of processes has time limits
    assert services[worker]["healthcheck"] == {"test": ["CMD", "true"]}  # up --wait fails if a service has none
    assert "debugpy" in (project / "pyproject.toml").read_text()
