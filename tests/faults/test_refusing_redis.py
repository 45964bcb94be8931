"""A Redis that answers, but refuses to write. The long form: make faults."""

import time

import pytest

from tests.faults.conftest import COMES_BACK
from tests.faults.fault_run import wait_until_idle
from tests.running.stack import Stack
from tests.running.waiting import wait_for

pytestmark = pytest.mark.usefixtures("long_form")


@pytest.fixture(scope="module")
def answers():
    return {"broker": "redis"}


def refuses(stack: Stack, word: str) -> bool:
    """Does Redis refuse to write, with an error that begins with this word?"""
    done = stack.compose("exec", "--no-TTY", "redis", "redis-cli", "SET", "probe", "1")
    return done.stdout.startswith(word)


def as_root(stack: Stack, *command: str) -> None:
    stack.compose("exec", "--no-TTY", "--user", "root", "redis", *command)


def test_a_redis_that_became_a_replica_loses_nothing(stack, fault_run):
    """As in a failover: it answers each write with READONLY, to workers as to publishers."""
    with fault_run("t: Redis answers READONLY for 10 s") as case:
        case.submit(tasks=300, jobs=300, seconds=0.2)
        case.wait_until_worked_on()
        stack.redis("redis", "REPLICAOF", "127.0.0.1", "1")
        try:
            wait_for(lambda: refuses(stack, "READONLY"), "a Redis that refuses", seconds=20)
            time.sleep(10)
        finally:
            stack.redis("redis", "REPLICAOF", "NO", "ONE")


def test_a_redis_that_became_a_replica_gives_callers_of_plain_tasks_an_error_and_loses_no_job(stack, fault_run):
    with fault_run("t: Redis answers READONLY at submit") as case:
        stack.redis("redis", "REPLICAOF", "127.0.0.1", "1")
        try:
            case.submit(tasks=3, jobs=20)
        finally:
            stack.redis("redis", "REPLICAOF", "NO", "ONE")
    assert case.sent["tasks"].refused == [0, 1, 2]


def test_a_redis_that_cannot_save_loses_nothing(stack, fault_run):
    """After a failed snapshot, Redis answers each write with MISCONF. The test turns snapshots on, because
    deploy/redis/redis.conf turns them off.
    """
    with fault_run("u: Redis answers MISCONF for 10 s") as case:
        case.submit(tasks=300, jobs=300, seconds=0.2)
        case.wait_until_worked_on()
        as_root(stack, "chmod", "a-w", "/data")
        stack.redis("redis", "CONFIG", "SET", "save", "1 1")
        try:
            wait_for(lambda: refuses(stack, "MISCONF"), "a Redis that refuses", seconds=30)
            time.sleep(10)
        finally:
            as_root(stack, "chmod", "u+w", "/data")
            stack.redis("redis", "CONFIG", "SET", "save", "")


def test_in_the_end_nothing_is_lost_and_no_job_was_worked_twice(fault_runs):
    wait_until_idle(fault_runs, seconds=COMES_BACK + 60)
