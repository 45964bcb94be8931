"""A stopping worker finishes what it can, and gives the rest back in time."""

import time

import pytest

from tests.running.editing import replace
from tests.running.waiting import wait_for

GRACE = 32  # seconds; 20 seconds before they are over, the worker hands back what still runs
SLOW = "from example.tasks import slow; print(slow.delay({seconds}).id)"
JOBS = """

@job(atomic=False, max_attempts=2)
def wait_for_the_seventh_attempt() -> str:
    import time

    from jobs.models import Job

    while Job.objects.get(kind="wait_for_the_seventh_attempt").attempts < 7:
        time.sleep(0.2)
    return "done"


@job(max_attempts=2)
def leave() -> None:
    raise SystemExit(3)
"""
ENDED = "SELECT count(*) FROM example_taskrun WHERE task_id = '{task_id}'"


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def stack(running, request):
    def change(folder):
        replace(folder / ".env", "STOP_GRACE_SECONDS=120", f"STOP_GRACE_SECONDS={GRACE}")
        with (folder / "example/jobs.py").open("a") as file:
            file.write(JOBS)

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
    return stack.sql(ENDED.format(task_id=task_id)) == [["1"]]


def test_a_stopping_worker_finishes_a_task_that_ends_in_time(stack):
    task_id = start_slow(stack, 6)

    took = stop(stack)

    assert ended(stack, task_id)
    assert took < GRACE - 20
    assert exit_code(stack) == "0"
    start_again(stack)


@pytest.mark.parametrize("signals", [[], ["SIGTERM", "SIGTERM"]], ids=["a stop", "two more SIGTERM"])
def test_a_task_that_takes_too_long_is_given_back_before_the_worker_is_killed(stack, signals):
    task_id = start_slow(stack, 17)

    took = stop(stack, *signals)

    assert not ended(stack, task_id)
    assert took < GRACE
    assert exit_code(stack) == "0"  # 137 if it was killed
    start_again(stack)
    # At once, and not only after the visibility timeout, as for a task of a killed worker.
    wait_for(lambda: ended(stack, task_id), "the end of slow in the next worker", seconds=60)


def test_sigquit_gives_everything_back_at_once(stack):
    task_id = start_slow(stack, 15)

    took = stop(stack, "SIGQUIT")

    assert not ended(stack, task_id)
    assert took < 10
    start_again(stack)
    wait_for(lambda: ended(stack, task_id), "the end of slow in the next worker", seconds=60)


# --- Jobs ---------------------------------------------------------------------------------------------------------


def submit(stack, kind: str) -> str:
    return stack.shell(f"from jobs import submit; print(submit('{kind}').pk)")


def row(stack, job: str) -> tuple[str, int, int]:
    """Return the job's status, how often it was started, and how many of these attempts were interrupted."""
    [(status, attempts, interruptions)] = stack.sql(
        f"SELECT status, attempts, interruptions FROM jobs_job WHERE id = '{job}'"
    )
    return status, int(attempts), int(interruptions)


def wait_for_row(stack, job: str, *expected: str | int) -> None:
    def check() -> bool:
        found = row(stack, job)
        assert found == expected or found[0] in {"waiting", "running"}, found
        return found == expected

    wait_for(check, f"{job} as {expected}", seconds=90)


def test_a_job_of_two_attempts_survives_six_stops_and_succeeds(stack):
    job = submit(stack, "wait_for_the_seventh_attempt")
    recreate = ["up", "--detach", "--no-deps", "--force-recreate", "--wait", "worker"]

    for number, how in enumerate(["stop", "deploy", "SIGQUIT", "pool", "deploy", "SIGQUIT"], start=1):
        wait_for_row(stack, job, "running", number, number - 1)
        if how == "deploy":
            stack.compose(*recreate)
        elif how == "pool":  # its processes get the signal, as on Ctrl-C of `make local`
            stack.signal("worker", "SIGTERM", "pool")
        elif how == "SIGQUIT":  # the restart policy starts the worker again
            stack.signal("worker", "SIGQUIT", "main")
        else:
            stop(stack)
            wait_for_row(stack, job, "waiting", number, number)
            start_again(stack)

    wait_for_row(stack, job, "succeeded", 7, 6)


def test_a_job_whose_function_exits_has_failed_and_its_process_goes_on(stack):
    before = stack.signal("worker", "SIGCONT", "pool")

    wait_for_row(stack, submit(stack, "leave"), "failed", 1, 0)

    assert stack.signal("worker", "SIGCONT", "pool") == before
