"""Three workers instead of one: slow tasks hold up no fast ones, and a worker grows and shrinks with its work, and one
that stops gives back what it can't finish.
"""

import time
from types import SimpleNamespace

import pytest

from tests.running.editing import replace
from tests.running.waiting import wait_for

GRACE = 32  # seconds; 20 seconds before they are over, the worker hands back what still runs
IDLE = 5  # seconds after which the autoscaler ends a process
JOBS = """

@job(queue="io", max_attempts=1)
def wait_for_the_second_attempt() -> str:
    import time

    from jobs.models import Job

    while Job.objects.get(kind="wait_for_the_second_attempt").attempts < 2:
        time.sleep(0.2)
    return "done"


@job(queue="cpu")
def compute(seconds: int) -> None:
    import time

    time.sleep(seconds)


@job()
def be_quick() -> None:
    pass
"""
EARLY = "from example.tasks import add; print(add.apply_async((4, 5), queue='io', countdown=1).id)"
SATURATE = """
from example.tasks import add, slow
from jobs import submit
for _ in range(3):
    slow.apply_async((6,), queue="cpu")
    submit("compute", seconds=6)
for number in range(20):
    add.delay(number, 1)
submit("be_quick")
"""
PROCESSES = """
from config.celery import app
for node, stats in (app.control.inspect(timeout=5).stats() or {}).items():
    print(node, *stats["pool"].get("processes", []))
"""


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def site(running, request):
    """The stack, and the ID of a task with a countdown that was sent to `io` before any worker ran."""

    def change(folder):
        replace(folder / ".env", "STOP_GRACE_SECONDS=120", f"STOP_GRACE_SECONDS={GRACE}")
        replace(folder / ".env", "WORKER_CPU_CONCURRENCY=1", "WORKER_CPU_CONCURRENCY=2")
        replace(folder / ".env", "# WORKER_CPU_MIN_CONCURRENCY=1", "WORKER_CPU_MIN_CONCURRENCY=1")
        replace(folder / "compose.yaml", "    SECRET_KEY_F", f'    AUTOSCALE_KEEPALIVE: "{IDLE}"\n    SECRET_KEY_F')
        with (folder / "example/jobs.py").open("a") as file:
            file.write(JOBS)

    answers = {"broker": request.param, "worker_pools": "split"}
    with running(change, **answers, production=True, services=["web"]) as stack:
        early = stack.shell(EARLY)
        stack.up()
        yield SimpleNamespace(stack=stack, early=early)


@pytest.fixture
def stack(site):
    return site.stack


def processes(stack, pool: str) -> list[list[str]]:
    """Return the processes of each worker of this pool."""
    lines = [line.split() for line in stack.shell(PROCESSES).splitlines()]
    return [ids for node, *ids in lines if node.startswith(f"{pool}@")]


def wait_for_processes(stack, expected: int) -> None:
    wait_for(lambda: [len(ids) for ids in processes(stack, "worker-cpu")] == [expected], f"{expected} processes", 60)


def finished(stack, task: str) -> list[str]:
    """Return when the runs of a task ended, the first one first."""
    rows = stack.sql(f"SELECT finished_at FROM example_taskrun WHERE task_name = 'example.tasks.{task}' ORDER BY 1")
    return [time for (time,) in rows]


def test_a_countdown_that_was_sent_to_a_pool_before_its_first_worker_ran_is_kept(site):
    code = f"from celery.result import AsyncResult; print(AsyncResult('{site.early}').get(timeout=60))"

    assert site.stack.shell(code) == "9"


def test_messages_for_a_busy_pool_do_not_delay_later_messages_for_another_pool(stack):
    stack.sql("DELETE FROM example_taskrun")
    stack.shell(SATURATE)

    wait_for(lambda: len(finished(stack, "slow")) == 3, "the end of the slow tasks", 120)
    wait_for(lambda: stack.sql("SELECT count(*) FROM jobs_job WHERE status = 'succeeded'") == [["4"]], "all jobs", 120)
    quick = stack.sql("SELECT max(finished_at) FROM jobs_job WHERE kind = 'be_quick'")
    slow = stack.sql("SELECT max(finished_at) FROM jobs_job WHERE kind = 'compute'")

    assert len(finished(stack, "add")) == 20
    assert max(finished(stack, "add")) < max(finished(stack, "slow"))
    assert quick < slow


def test_a_worker_that_is_busy_gets_more_processes_and_one_that_is_idle_gives_them_back(stack):
    wait_for_processes(stack, 1)

    stack.shell("from example.tasks import slow; [slow.apply_async((8,), queue='cpu') for _ in range(4)]")

    wait_for_processes(stack, 2)
    wait_for_processes(stack, 1)


def test_a_pool_can_have_several_workers(stack):
    stack.compose("up", "--detach", "--no-deps", "--wait", "--scale", "worker-io=4", "worker-io")

    wait_for(lambda: len(processes(stack, "worker-io")) == 4, "four workers that answer", 60)
    stack.compose("up", "--detach", "--no-deps", "--wait", "worker-io")


def test_a_worker_with_threads_gives_back_unfinished_tasks_and_uses_up_no_attempt_of_its_jobs(stack):
    stack.sql("DELETE FROM example_taskrun")
    job = stack.shell("from jobs import submit; print(submit('wait_for_the_second_attempt').pk)")
    stack.shell("from example.tasks import slow; slow.apply_async((17,), queue='io')")
    wait_for(lambda: "tasks.slow[" in stack.logs("worker-io"), "the start of slow", 30)
    row = f"SELECT status, attempts, interruptions FROM jobs_job WHERE id = '{job}'"
    wait_for(lambda: stack.sql(row) == [["running", "1", "0"]], "the start of the job", 30)

    began = time.monotonic()
    stack.compose("stop", "worker-io")

    assert time.monotonic() - began < GRACE
    assert stack.compose("ps", "--all", "--format", "{{.ExitCode}}", "worker-io").stdout.strip() == "0"
    assert stack.sql(row) == [["waiting", "1", "1"]]
    assert finished(stack, "slow") == []

    stack.compose("up", "--detach", "--no-deps", "--wait", "worker-io")
    wait_for(lambda: stack.sql(row) == [["succeeded", "2", "1"]], "the end of the job", 60)
    wait_for(lambda: len(finished(stack, "slow")) == 1, "the end of slow", 60)
