"""What can't do its work turns unhealthy within 150 seconds, and is healthy again by itself when it can.

All at once, on both brokers, because each takes two minutes: of two workers, one has a pool that hangs, the other lost
its broker.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.running.waiting import TookTooLong, wait_for

LIMIT = 150  # seconds
BROKERS = ["redis", "rabbitmq"]
CASES = [
    "a worker whose pool hangs",
    "a worker that lost its broker",
    "a beat whose loop stands still",
    "a web whose database is gone",
]


@pytest.fixture(scope="module")
def turned(running) -> dict[str, dict[str, dict[str, int]]]:
    """Return what `break_and_mend` returns, by broker."""
    with ExitStack() as open_stacks:
        # One after the other: their images have the same name.
        stacks = [open_stacks.enter_context(with_two_workers(running, broker)) for broker in BROKERS]
        with ThreadPoolExecutor() as threads:
            return dict(zip(BROKERS, threads.map(break_and_mend, stacks), strict=True))


@contextmanager
def with_two_workers(running, broker: str):
    with running(broker=broker, production=True) as stack:
        stack.compose("up", "--detach", "--no-deps", "--wait", "--scale", "worker=2", "worker")
        yield stack


def break_and_mend(stack) -> dict[str, dict[str, int]]:
    """Break all of them, mend them, and return by status and case after how many seconds it had it, if within LIMIT."""
    ids = {service: stack.compose("ps", "--quiet", service).stdout.split() for service in ["worker", "beat", "web"]}
    first = stack.compose("exec", "--no-TTY", "worker", "hostname").stdout.strip()
    hanging, cut_off = sorted(ids["worker"], key=lambda container: not container.startswith(first))
    containers = dict(zip(CASES, [hanging, cut_off, *ids["beat"], *ids["web"]], strict=True))
    network = f"{stack.environment['COMPOSE_PROJECT_NAME']}_data"

    stack.signal("worker", "SIGSTOP", "pool")
    stack.signal("beat", "SIGSTOP", "main")
    stack.run("docker", "network", "disconnect", network, cut_off, check=True)
    stack.compose("stop", "db")
    unhealthy = seconds_until(stack, "unhealthy", containers)

    stack.compose("start", "db")
    stack.run("docker", "network", "connect", network, cut_off, check=True)
    stack.signal("beat", "SIGCONT", "main")
    stack.signal("worker", "SIGCONT", "pool")
    return {"unhealthy": unhealthy, "healthy": seconds_until(stack, "healthy", containers)}


def seconds_until(stack, status: str, containers: dict[str, str]) -> dict[str, int]:
    """Return for each case after how many seconds its container had this status, if it had within LIMIT."""
    began = time.monotonic()
    found: dict[str, int] = {}

    def all_found():
        for case in containers.keys() - found:
            command = ["docker", "inspect", "--format", "{{.State.Health.Status}}", containers[case]]
            if stack.run(*command, check=True).stdout.strip() == status:
                found[case] = round(time.monotonic() - began)
        return len(found) == len(containers)

    with suppress(TookTooLong):  # what is missing says so
        wait_for(all_found, status, LIMIT)
    return found


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("broker", BROKERS)
def test_it_turns_unhealthy_within_150_seconds(turned, broker, case):
    assert case in turned[broker]["unhealthy"], turned


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("broker", BROKERS)
def test_it_is_healthy_again_by_itself(turned, broker, case):
    assert case in turned[broker]["healthy"], turned
