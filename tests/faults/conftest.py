"""A stack with the load app, and faults on it."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.answers import Answers, every, named
from tests.faults import counts
from tests.faults.fault_run import WAYS, FaultRun
from tests.running.editing import replace
from tests.running.stack import Stack

LOAD = Path(__file__).with_name("load")

# The hard time limit is as short as possible, because Redis gives a killed worker's tasks back only after three times
# as long. It must be longer than a job's lease, which is 60 seconds.
HARD_LIMIT, SOFT_LIMIT = 61, 55
# Every ten seconds a worker looks in Redis for messages that killed workers have not acknowledged.
COMES_BACK = 3 * HARD_LIMIT + 10


@pytest.fixture(scope="module", params=every("broker"), ids=named)
def answers(request: pytest.FixtureRequest) -> Answers:
    return request.param


@pytest.fixture(scope="module")
def broker(answers: Answers) -> str:
    return str(answers["broker"])


@pytest.fixture(scope="session")
def long_form(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("long form: make faults")


@pytest.fixture(scope="module")
def stack(running: Callable, answers: Answers, broker: str) -> Iterator[Stack]:
    with running(change=prepare, **answers) as stack:
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
    counts.FOLDER.mkdir(exist_ok=True)
    (counts.FOLDER / f"versions-{broker}.json").write_text(json.dumps(versions))


def prepare(folder: Path) -> None:
    """Put the load app into the project, with room for eight tasks at a time and shorter time limits."""
    shutil.copytree(LOAD, folder / "load", ignore=shutil.ignore_patterns("__pycache__"))
    if not (folder / "jobs").exists():
        (folder / "load/jobs.py").unlink()
    replace(folder / "config/settings/base.py", '    "example",\n', '    "example",\n    "load",\n')
    limits = folder / "config/settings/celery.py"
    replace(limits, "CELERY_TASK_SOFT_TIME_LIMIT = 270", f"CELERY_TASK_SOFT_TIME_LIMIT = {SOFT_LIMIT}")
    replace(limits, "CELERY_TASK_TIME_LIMIT = 300", f"CELERY_TASK_TIME_LIMIT = {HARD_LIMIT}")
    variables = (folder / ".env").read_text()
    (folder / ".env").write_text(re.sub(r"(?m)^(WORKER_(DEFAULT_)?CONCURRENCY)=2$", r"\1=8", variables))
    samples = folder / "example/jobs.py"
    if samples.exists():  # their limits are too long now, which a system check refuses
        samples.write_text(re.sub(r"time_limit=\d+, ", "", samples.read_text()))


@pytest.fixture(scope="module")
def fault_runs(stack: Stack) -> list[FaultRun]:
    """The faults on this stack so far."""
    return []


@pytest.fixture
def fault_run(
    stack: Stack, answers: Answers, broker: str, fault_runs: list[FaultRun], file: Path
) -> Callable[..., FaultRun]:
    """Return a function that begins a fault run of this case on the stack."""
    ways = WAYS[:1] if answers.get("jobs") == "none" else WAYS

    def begin(case: str, **options: Any) -> FaultRun:
        fault_runs.append(FaultRun(stack, broker, case, file, **{"ways": ways, **options}))
        return fault_runs[-1]

    return begin


@pytest.fixture(scope="session")
def file(request: pytest.FixtureRequest) -> Path:
    """Return the file of counts, to which each process appends."""
    return counts.file(long=request.config.getoption("--long"))
