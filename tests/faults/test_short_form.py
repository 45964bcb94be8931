"""The faults that every run of the tests makes, on each broker: 300 plain tasks and 300 jobs of 0.2 s at the same time,
or 12 and 12 of 15 s, worked on by one worker of eight processes. A project without jobs gets the plain tasks only, and
in one with several worker pools the faults hit the worker of the queue `default`.

Keep this order: work that comes back late does so while later cases run, and their faults must not hit it again. Jobs
of a killed worker come back after a minute, its plain tasks on Redis after some minutes. The last test waits for both.
"""

import time

import pytest

from tests.answers import named
from tests.faults.conftest import COMES_BACK
from tests.faults.fault_run import WAYS, wait_until_idle

ANSWERS = [
    {"broker": "redis"},
    {"broker": "rabbitmq", "worker_pools": "split"},
    {"broker": "rabbitmq", "jobs": "none"},
]


@pytest.fixture(scope="module", params=ANSWERS, ids=named)
def answers(request):
    return request.param


@pytest.fixture(scope="module")
def worker(stack):
    return stack.worker


def test_killed_processes_of_the_pool_lose_nothing(stack, worker, fault_run):
    with fault_run("a: two processes of the pool are killed, three times", late=WAYS) as case:
        case.submit(tasks=300, jobs=300, seconds=0.2)
        for finished in (30, 60, 90):
            case.wait_until_worked_on(finished)
            assert len(stack.signal(worker, "SIGKILL", "pool", 2)) == 2


def test_a_killed_worker_loses_nothing(stack, worker, broker, fault_run):
    """Its jobs come back when their lease is over, its plain tasks at once from RabbitMQ, and after the visibility
    timeout from Redis: the last test asks for them.
    """
    late = ["tasks"] if broker == "redis" else []
    with fault_run("b: the worker is killed and started again", late=late) as case:
        case.submit(tasks=300, jobs=300, seconds=0.2)
        case.wait_until_worked_on()
        stack.compose("kill", "--signal", "KILL", worker)
        stack.compose("up", "--detach", "--no-deps", worker)


def test_a_killed_broker_loses_nothing(stack, broker, fault_run):
    with fault_run("d: the broker is killed and started again") as case:
        case.submit(tasks=300, jobs=300, seconds=0.2)
        case.wait_until_worked_on()
        stack.compose("kill", "--signal", "KILL", broker)
        time.sleep(5)
        stack.compose("start", broker)


def test_a_killed_database_loses_nothing(stack, fault_run):
    """A job whose claim or end was cut off comes back when its lease is over."""
    with fault_run("h: PostgreSQL is killed and started again", late=WAYS) as case:
        case.submit(tasks=300, jobs=300, seconds=0.2)
        case.wait_until_worked_on()
        stack.compose("kill", "--signal", "KILL", "db")
        time.sleep(5)
        stack.compose("start", "db")


def test_a_restart_of_the_worker_under_long_tasks_loses_nothing(stack, worker, fault_run):
    with fault_run("c: the worker is restarted") as case:
        case.submit(tasks=12, jobs=12, seconds=15)
        case.wait_until_started()
        stack.compose("restart", worker)


def test_a_stopped_broker_gives_callers_of_plain_tasks_an_error_and_loses_no_job(stack, broker, fault_run):
    with fault_run("g: the broker is stopped at submit") as case:
        stack.compose("stop", broker)
        case.submit(tasks=3, jobs=20)
        stack.compose("start", broker)
    assert case.sent["tasks"].refused == [0, 1, 2]


def test_a_frozen_broker_gives_callers_of_plain_tasks_an_error_and_loses_no_job(stack, broker, fault_run):
    with fault_run("g: the broker is paused at submit") as case:
        stack.compose("pause", broker)
        try:
            case.submit(tasks=3, jobs=20)
        finally:
            stack.compose("unpause", broker)
    assert case.sent["tasks"].refused == [0, 1, 2]


def test_a_broker_that_freezes_behind_a_used_connection_gives_callers_of_plain_tasks_an_error(stack, broker, fault_run):
    with fault_run("g: the broker is paused at submit, on a used connection") as case:
        try:
            case.submit(tasks=3, jobs=20, once_connected=lambda: stack.compose("pause", broker))
        finally:
            stack.compose("unpause", broker, check=False)
    assert case.sent["tasks"].refused == [0, 1, 2]


def test_in_the_end_nothing_is_lost_and_no_job_was_worked_twice(fault_runs):
    wait_until_idle(fault_runs, seconds=COMES_BACK + 60)
