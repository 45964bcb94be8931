"""A stack with the load app, and trials on it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import tally
from tests.faults.trial import Trial
from tests.running.editing import replace
from tests.running.stack import Stack

LOAD = Path(__file__).with_name("load")

# A worker's hard limit, and so the time after which Redis gives a killed worker's tasks back (three times as long):
# as short as the ledger's lease of 60 seconds allows.
HARD_LIMIT, SOFT_LIMIT = 61, 55
# Workers look for what they have to give back every ten seconds.
COMES_BACK = 3 * HARD_LIMIT + 10


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def broker(request):
    return request.param


@pytest.fixture(scope="session")
def long_form(request):
    if not request.config.getoption("--long"):
        pytest.skip("long form: make faults")


@pytest.fixture(scope="module")
def stack(running, broker):
    with running(change=prepare, broker=broker) as stack:
        note_versions(stack, broker)
        yield stack


def note_versions(stack: Stack, broker: str) -> None:
    """Write down for the report what runs in the stack."""
    packages = "import celery, kombu, django; print(celery.__version__, kombu.__version__, django.__version__)"
    celery, kombu, django = stack.compose("exec", "--no-TTY", "web", "python", "-c", packages).stdout.split()
    versions = {"Celery": celery, "kombu": kombu, "Django": django}
    postgres = stack.compose("exec", "--no-TTY", "db", "postgres", "--version").stdout
    versions["PostgreSQL"] = postgres.split()[2]
    if broker == "redis":
        server = stack.compose("exec", "--no-TTY", "redis", "redis-server", "--version").stdout
        versions["Redis"] = re.search(r"v=(\S+)", server)[1]
    else:
        versions["RabbitMQ"] = stack.compose("exec", "--no-TTY", "rabbitmq", "rabbitmqctl", "version").stdout.strip()
    tally.FOLDER.mkdir(exist_ok=True)
    (tally.FOLDER / f"versions-{broker}.json").write_text(json.dumps(versions))


def prepare(folder: Path) -> None:
    """Put the load app into the project, with room for eight tasks at a time and shorter time limits."""
    shutil.copytree(LOAD, folder / "load", ignore=shutil.ignore_patterns("__pycache__"))
    replace(folder / "config/settings/base.py", '    "jobs",\n', '    "jobs",\n    "load",\n')
    limits = folder / "config/settings/celery.py"
    replace(limits, "CELERY_TASK_SOFT_TIME_LIMIT = 270", f"CELERY_TASK_SOFT_TIME_LIMIT = {SOFT_LIMIT}")
    replace(limits, "CELERY_TASK_TIME_LIMIT = 300", f"CELERY_TASK_TIME_LIMIT = {HARD_LIMIT}")
    replace(folder / ".env", "WORKER_CONCURRENCY=2", "WORKER_CONCURRENCY=8")


@pytest.fixture(scope="module")
def trials(stack) -> list[Trial]:
    """The trials on this stack so far."""
    return []


@pytest.fixture
def trial(stack, broker, trials, file) -> Callable[..., Trial]:
    """Return a function that begins a trial of this case on the stack."""

    def begin(case: str, **options) -> Trial:
        trials.append(Trial(stack, broker, case, file, **options))
        return trials[-1]

    return begin


@pytest.fixture(scope="session")
def file(request) -> Path:
    """The file of tallies, new."""
    path = tally.file(long=request.config.getoption("--long"))
    path.unlink(missing_ok=True)
    return path
