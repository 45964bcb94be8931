"""The faults that only `make faults` injects. The stack has jobs, one worker, and results that are not in the broker's
Redis.
"""

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults import counts
from tests.faults.conftest import COMES_BACK, prepare
from tests.faults.fault_run import FaultRun, send, wait_until_idle
from tests.faults.memory import limit_memory, relieve
from tests.running.editing import replace
from tests.running.stack import Stack
from tests.running.waiting import wait_for

pytestmark = pytest.mark.usefixtures("long_form")

TICKS_EVERY = 2  # seconds
RESULTS = {"redis": "cache", "rabbitmq": "redis"}  # which service has the results, by broker

# By default the broker's Redis also keeps the results. Here another server keeps them, so that it can be stopped while
# the broker runs.
RESULTS_ELSEWHERE = """
x-results: &results
  environment:
    CELERY_RESULT_BACKEND: redis://:${CACHE_PASSWORD}@cache:6379/1
services:
  web: *results
  worker: *results
  dispatcher: *results
  beat: *results
"""


@pytest.fixture(scope="module")
def stack(running, broker):
    def change(folder: Path) -> None:
        prepare(folder)
        replace(folder / "config/settings/celery.py", '"schedule": 30,', f'"schedule": {TICKS_EVERY},')
        (folder / "compose.results.yaml").write_text(RESULTS_ELSEWHERE)

    files = ["compose.yaml", "compose.override.yaml"]
    if broker == "redis":
        files.append("compose.results.yaml")
    with running(change=change, files=files, broker=broker) as stack:
        yield stack


def container(stack: Stack, service: str) -> str:
    """Return the id of the service's only container."""
    return stack.compose("ps", "--quiet", service).stdout.strip()


def test_a_recreated_broker_loses_nothing(stack, broker, fault_run):
    with fault_run("e: the broker's container is replaced, its volume stays") as case:
        case.submit(tasks=300, jobs=300, seconds=0.2)
        case.wait_until_worked_on()
        stack.compose("up", "--detach", "--no-deps", "--force-recreate", broker)


def test_a_full_broker_gives_publishers_an_error_and_loses_nothing(stack, broker, fault_run):
    """Redis takes some tasks before it is full. RabbitMQ blocks each publisher until its timeout, so only three tasks
    are sent to it.
    """
    tasks = 300 if broker == "redis" else 3
    with fault_run("f: the broker's memory is full, no worker runs") as case:
        stack.compose("stop", "worker")
        limit_memory(stack, broker, 100_000)
        try:
            case.submit(tasks=tasks, jobs=300, seconds=0.2)
        finally:
            relieve(stack, broker)
    assert case.sent["tasks"].refused


def test_two_beats_tick_as_often_as_one(stack, broker, fault_runs, file):
    seconds = 10 * TICKS_EVERY
    # Ticks would wait behind the work of the cases before. Redis gives back late what was never acknowledged.
    wait_for(lambda: all(it.over() for it in fault_runs), "the end of the other batches", COMES_BACK + 60)

    def ticks() -> int:
        count = "SELECT count(*) FROM example_taskrun WHERE task_name = 'example.tasks.tick'"
        before = int(stack.sql(count)[0][0])
        time.sleep(seconds)
        return int(stack.sql(count)[0][0]) - before

    one = ticks()
    scale = ["up", "--detach", "--no-deps", "--wait", "--scale"]
    stack.compose(*scale, "beat=2", "beat")
    try:
        two = ticks()
    finally:
        stack.compose(*scale, "beat=1", "beat")

    case = f"i: two beats for {seconds} s"
    numbers: dict[str, Any] = {"submitted": one, "finished": two, "lost": max(0, one - two), "twice": max(0, two - one)}
    told: dict[str, Any] = {"refused": 0, "errors": [], "slowest": 0, "stuck": 0, "last": None}
    counts.write(counts.Counts(broker=broker, case=case, sent_as="tick", **numbers, **told), file)
    assert abs(two - one) <= 1  # the first or the last one may fall on either side


def starts(case: FaultRun, function: str) -> int:
    """Return how often the bad task of this batch was started."""
    return sum(executions for executions, _ in case.runs().get(function, {}).values())


def test_a_task_that_needs_too_much_memory_becomes_a_dead_letter_and_harms_no_other(stack, fault_run):
    worker = container(stack, "worker")
    with fault_run("j: a task takes more memory than the worker has", seconds=300) as case:
        limit = ["--memory", "1g", "--memory-swap", "1g", worker]
        subprocess.run(["docker", "update", *limit], check=True, capture_output=True)
        try:
            send(stack, case.batch, tasks=1, function="greedy")
            case.submit(tasks=300, jobs=300, seconds=0.2)
            wait_for(lambda: starts(case, "greedy"), "the start of the greedy task", seconds=60)
            stops(case, "greedy")
        finally:
            free = ["--memory", "16g", "--memory-swap", "16g", worker]
            subprocess.run(["docker", "update", *free], check=True, capture_output=True)


def test_a_task_that_always_kills_its_process_becomes_a_dead_letter_and_harms_no_other(stack, fault_run):
    with fault_run("n: a task kills its process each time") as case:
        send(stack, case.batch, tasks=1, function="poison")
        case.submit(tasks=300, jobs=300, seconds=0.2)
        wait_for(lambda: starts(case, "poison"), "the start of the poison", seconds=60)
        stops(case, "poison")


def test_a_job_that_kills_its_process_each_time_is_failed_and_says_why(stack):
    """After the two attempts that it has."""
    job = stack.shell("from jobs import submit; print(submit('fatal').pk)")
    fields = (
        "from jobs.models import Job; job = Job.objects.get(pk='{job}'); print(job.status, job.attempts, job.error)"
    )

    def end():
        row = stack.shell(fields.format(job=job))
        return row if row.startswith("failed") else None

    row = wait_for(end, "the end of the job", seconds=60)
    assert row == "failed 2 its process died, at the last attempt"


def stops(case: FaultRun, function: str) -> None:
    """Wait until the message of the bad task is a dead letter, and check that the task was started 1 to 6 times: once,
    and at most five retries. Raises AssertionError.
    """

    def kept() -> bool:
        held = case.stack.compose("exec", "--no-TTY", "web", "python", "manage.py", "dead_letters").stdout
        return f"load.tasks.{function} ('{case.batch}', 0, " in held

    wait_for(kept, "the bad task among the dead letters", seconds=300)
    assert 1 <= starts(case, function) <= 6


def test_a_worker_without_network_loses_nothing(stack, broker, fault_run):
    """It loses the broker and the database at the same time."""
    worker, project = container(stack, "worker"), stack.environment["COMPOSE_PROJECT_NAME"]

    def network(action: str) -> None:
        for name in ("data", "default"):
            subprocess.run(["docker", "network", action, f"{project}_{name}", worker], check=True, capture_output=True)

    with fault_run("k: the worker's network is cut for 30 s", late=["tasks"] if broker == "redis" else []) as case:
        case.submit(tasks=300, jobs=300, seconds=0.2)
        case.wait_until_worked_on()
        network("disconnect")
        try:
            time.sleep(30)
        finally:
            network("connect")


def test_results_that_cannot_be_stored_lose_no_task(stack, broker, fault_run):
    results = RESULTS[broker]
    with fault_run("m: the result backend is killed, and back after 10 s") as case:
        case.submit(tasks=300, jobs=300, seconds=0.2, function="with_result")
        case.wait_until_worked_on()
        stack.compose("kill", "--signal", "KILL", results)
        time.sleep(10)
        stack.compose("start", results)


def test_a_stopped_result_backend_gives_callers_who_want_a_result_an_error(stack, broker, fault_run):
    results = RESULTS[broker]
    with fault_run("m: the result backend is stopped at submit") as case:
        stack.compose("stop", results)
        case.submit(tasks=3, jobs=20, function="with_result")
        stack.compose("start", results)
    assert case.sent["tasks"].refused == [0, 1, 2]


def test_a_stopped_result_backend_does_not_concern_callers_who_want_no_result(stack, broker, fault_run):
    results = RESULTS[broker]
    with fault_run("m: the result backend is stopped at submit, no result is wanted") as case:
        stack.compose("stop", results)
        try:
            case.submit(tasks=20, jobs=20)
            case.wait_until_worked_on(20)
        finally:
            stack.compose("start", results)
    assert not case.sent["tasks"].refused


def test_in_the_end_nothing_is_lost_and_no_job_was_worked_twice(fault_runs):
    wait_until_idle(fault_runs, seconds=COMES_BACK + 60)
