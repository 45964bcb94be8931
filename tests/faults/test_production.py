"""The faults of `make faults` that need the production shape: no source is mounted, and docker restarts what ends."""

import subprocess
import time

import pytest

from tests.faults.conftest import prepare
from tests.faults.memory import limit_memory, relieve
from tests.running.stack import Stack

pytestmark = pytest.mark.usefixtures("long_form")


@pytest.fixture(scope="module")
def stack(running, broker):
    with running(change=prepare, production=True, broker=broker) as stack:
        yield stack


def image_id(stack: Stack) -> str:
    """Return the id of the image that services are started from."""
    command = ["docker", "image", "inspect", "--format", "{{.Id}}", stack.image("latest")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(("count", "seconds"), [(300, 0.2), (12, 15)])
def test_a_rolling_redeploy_loses_nothing(stack, fault_run, count, seconds):
    before = image_id(stack)
    with fault_run(f"l: a new release under {count} tasks of {seconds} s") as case:
        case.submit(tasks=count, jobs=count, seconds=seconds)
        case.wait_until_started()
        release(stack)
    assert image_id(stack) != before


def release(stack: Stack) -> None:
    """Build the image with a changed line, and replace first the workers, which know all old tasks and the new ones,
    then web.
    """
    with (stack.folder / "load/tasks.py").open("a") as code:
        code.write("\n# a new line\n")
    stack.compose("build", "migrate")
    stack.compose("up", "--detach", "--no-deps", "--wait", "--scale", "worker=2", "worker")
    stack.compose("up", "--detach", "--no-deps", "--wait", "web", "dispatcher", "beat")


def test_a_broker_that_is_full_while_workers_consume_loses_nothing(stack, broker, fault_run):
    """A worker that ends is started again by its restart policy. (In development the next change of code does that.)"""
    with fault_run("f: the broker's memory is full for 10 s, workers consume") as case:
        case.submit(tasks=300, jobs=300, seconds=0.2)
        case.wait_until_worked_on()
        limit_memory(stack, broker, -100_000)
        try:
            time.sleep(10)
        finally:
            relieve(stack, broker)
