"""A stopping worker ends what it can, and gives the rest back in time."""

import time

import pytest

from tests.running.editing import replace
from tests.running.waiting import wait_for

GRACE = 32  # seconds; what still runs goes back 20 seconds earlier
SLOW = "from example.tasks import slow; print(slow.delay({seconds}).id)"
ENDED = "from example.models import TaskRun; print(TaskRun.objects.filter(task_id='{task_id}').exists())"


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def stack(running, request):
    def change(folder):
        replace(folder / ".env", "STOP_GRACE_SECONDS=120", f"STOP_GRACE_SECONDS={GRACE}")

    with running(change, broker=request.param, production=True) as stack:
        yield stack


def start_slow(stack, seconds: float) -> str:
    """Send slow(seconds) and return its id, once the worker has it."""
    task_id = stack.shell(SLOW.format(seconds=seconds))
    wait_for(lambda: f"example.tasks.slow[{task_id}] received" in stack.logs("worker"), "the start of slow", seconds=20)
    return task_id


def stop(stack, *signals: str) -> float:
    """Stop the worker, with these signals sent to it first. Return how many seconds it took."""
    for name in signals:
        stack.compose("kill", "--signal", name, "worker")
    began = time.monotonic()
    stack.compose("stop", "worker")
    return time.monotonic() - began


def exit_code(stack) -> str:
    return stack.compose("ps", "--all", "--format", "{{.ExitCode}}", "worker").stdout.strip()


def start_again(stack) -> None:
    stack.compose("up", "--detach", "--no-deps", "--wait", "worker")


def ended(stack, task_id: str) -> bool:
    return stack.shell(ENDED.format(task_id=task_id)) == "True"


def test_a_task_that_ends_in_time_ends(stack):
    task_id = start_slow(stack, 6)

    took = stop(stack)

    assert ended(stack, task_id)
    assert took < GRACE - 20
    assert exit_code(stack) == "0"
    start_again(stack)


@pytest.mark.parametrize("signals", [[], ["SIGTERM", "SIGTERM"]], ids=["a stop", "two more SIGTERM"])
def test_a_task_that_does_not_is_given_back_before_the_worker_is_killed(stack, signals):
    task_id = start_slow(stack, 17)

    took = stop(stack, *signals)

    assert not ended(stack, task_id)
    assert took < GRACE
    assert exit_code(stack) == "0"  # 137 if it was killed
    start_again(stack)
    # At once: not after the visibility timeout, as what a killed worker held.
    wait_for(lambda: ended(stack, task_id), "the end of slow in the next worker", seconds=60)


def test_sigquit_gives_everything_back_at_once(stack):
    task_id = start_slow(stack, 15)

    took = stop(stack, "SIGQUIT")

    assert not ended(stack, task_id)
    assert took < 10
    start_again(stack)
    wait_for(lambda: ended(stack, task_id), "the end of slow in the next worker", seconds=60)
