"""What can't do its work turns unhealthy within 150 seconds, and is healthy again by itself when it can. What is stuck
is started again. And a message that was sent before any worker ran is kept.

All faults are made at once, on both brokers, because each takes two minutes. Of two workers, one has a pool that hangs,
and the other loses its broker. Then all of them work again. Later three processes are frozen (a worker, the dispatcher
and beat), and the other worker is told to consume nothing.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.running.editing import replace
from tests.running.stack import Stack
from tests.running.waiting import TookTooLong, wait_for

LIMIT = 150  # seconds
LIMIT_OF_STUCK = 200  # seconds, with the limits of shorten()
BROKERS = ["redis", "rabbitmq"]
BROKEN = [
    "a worker whose pool hangs",
    "a worker that lost its broker",
    "a dispatcher whose database is gone",
    "a beat whose database is gone",
    "a web whose database is gone",
]
STUCK = [
    "a worker whose loop stands still",
    "a worker that consumes nothing",
    "a dispatcher whose loop stands still",
    "a beat whose loop stands still",
]
# How a worker gets into the state of https://github.com/celery/celery/issues/10205, and a task that lets messages wait.
ADDITIONS = """
import time
from celery.worker.control import control_command

@control_command()
def stop_consuming(state):
    state.consumer.task_consumer.cancel()

@app.task(name="slow", ignore_result=True)
def slow():
    time.sleep(5)
"""
SEND_SLOW = "from config.celery import app; [app.send_task('slow') for _ in range(200)]"
PURGE = "from config.celery import app; app.control.purge()"
STOP_MAIN = "import os, signal; from ops.watchdog import *; [os.kill(it, signal.SIGSTOP) for it in main_processes()]"
COUNTDOWN = "from example.tasks import add; print(add.apply_async((4, 5), countdown=5).id)"
RESULT = "from celery.result import AsyncResult; print(AsyncResult({!r}).get(timeout=60))"


@pytest.fixture(scope="module")
def found(running) -> dict[str, SimpleNamespace]:
    """Return what was found out about each broker's stack."""
    with ExitStack() as open_stacks:
        started = [open_stacks.enter_context(with_two_workers(running, broker)) for broker in BROKERS]
        with ThreadPoolExecutor() as threads:
            return dict(zip(BROKERS, threads.map(observe, *zip(*started, strict=True)), strict=True))


@contextmanager
def with_two_workers(running, broker: str) -> Iterator[tuple[Stack, str]]:
    """Yield the stack, and the ID of a task with a countdown that was sent before any worker ran."""
    with running(broker=broker, production=True, change=shorten, services=["web"]) as stack:
        sent = stack.shell(COUNTDOWN)
        stack.up()
        stack.compose("up", "--detach", "--no-deps", "--wait", "--scale", "worker=2", "worker")
        yield stack, sent


def shorten(folder: Path) -> None:
    """Let the watchdog end what is stuck sooner, and let a worker stop consuming when it is told to."""
    replace(folder / "ops/watchdog.py", "ALIVE_LIMIT = 180", "ALIVE_LIMIT = 60")
    replace(folder / "ops/celery/worker_heartbeat.py", "TAKE_WITHIN = 120", "TAKE_WITHIN = 10")
    with (folder / "config/celery.py").open("a") as code:
        code.write(ADDITIONS)


def observe(stack: Stack, sent: str) -> SimpleNamespace:
    """Break all of them, mend them, let all of them get stuck, and return what was found out."""
    it = SimpleNamespace(countdown=stack.shell(RESULT.format(sent)))
    it.snapshots = stack.redis("redis", "CONFIG", "GET", "save").splitlines()

    services = ["worker", "dispatcher", "beat", "web"]
    ids = {service: stack.compose("ps", "--quiet", service).stdout.split() for service in services}
    first = stack.compose("exec", "--no-TTY", "worker", "hostname").stdout.strip()
    workers = sorted(ids["worker"], key=lambda container: not container.startswith(first))
    one_each = [*workers, *ids["dispatcher"], *ids["beat"], *ids["web"]]
    broken, stuck = dict(zip(BROKEN, one_each, strict=True)), dict(zip(STUCK, one_each[:-1], strict=True))
    network = f"{stack.environment['COMPOSE_PROJECT_NAME']}_data"

    def health(container: str) -> str:
        return inspect(stack, container, "{{.State.Health.Status}}")

    def restarts(container: str) -> int:
        return int(inspect(stack, container, "{{.RestartCount}}"))

    stack.signal("worker", "SIGSTOP", "pool")
    stack.run("docker", "network", "disconnect", network, workers[1], check=True)
    stack.compose("stop", "db")
    it.unhealthy = seconds_until(lambda container: health(container) == "unhealthy", broken)
    it.restarts_of_broken = {case: restarts(container) for case, container in broken.items()}

    stack.compose("start", "db")
    stack.run("docker", "network", "connect", network, workers[1], check=True)
    stack.signal("worker", "SIGCONT", "pool")
    it.healthy = seconds_until(lambda container: health(container) == "healthy", broken)

    def consumes_nothing() -> bool:
        """Tell the worker to consume nothing, and return whether it answers. At first RabbitMQ may deliver the command
        to the connection that the worker has lost, so this is tried again.
        """
        to = ["--destination", f"worker@{workers[1][:12]}"]
        command = ["docker", "exec", workers[1], "celery", "-A", "config", "control", *to, "stop_consuming"]
        return stack.run(*command).returncode == 0

    wait_for(consumes_nothing, "the worker's answer", 120)
    for container in [workers[0], *ids["dispatcher"], *ids["beat"]]:
        stack.run("docker", "exec", container, "python", "-c", STOP_MAIN, check=True)
    stack.shell(SEND_SLOW)

    def works_again(container: str) -> bool:
        return restarts(container) > 0 and health(container) == "healthy"

    it.restarted = seconds_until(works_again, stuck, LIMIT_OF_STUCK)
    it.log = stack.logs("worker", "dispatcher", "beat")
    stack.shell(PURGE)
    it.sum = stack.shell("from example.tasks import add; print(add.delay(4, 5).get(timeout=60))")
    return it


def inspect(stack: Stack, container: str, what: str) -> str:
    return stack.run("docker", "inspect", "--format", what, container, check=True).stdout.strip()


def seconds_until(happened: Callable[[str], bool], containers: dict[str, str], limit: int = LIMIT) -> dict[str, int]:
    """Return for each case after how many seconds this happened to its container, if it did within the limit."""
    began = time.monotonic()
    found: dict[str, int] = {}

    def all_found():
        for case in containers.keys() - found:
            if happened(containers[case]):
                found[case] = round(time.monotonic() - began)
        return len(found) == len(containers)

    with suppress(TookTooLong):  # the tests report the cases that are missing
        wait_for(all_found, "all of them", limit)
    return found


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("broker", BROKERS)
def test_it_turns_unhealthy_within_150_seconds(found, broker, case):
    assert case in found[broker].unhealthy, found[broker].unhealthy


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("broker", BROKERS)
def test_it_is_left_alone_because_something_else_has_to_mend_it(found, broker, case):
    assert found[broker].restarts_of_broken[case] == 0


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("broker", BROKERS)
def test_it_is_healthy_again_by_itself(found, broker, case):
    assert case in found[broker].healthy, found[broker].healthy


@pytest.mark.parametrize("case", STUCK)
@pytest.mark.parametrize("broker", BROKERS)
def test_it_is_stuck_and_is_started_again(found, broker, case):
    assert case in found[broker].restarted, found[broker].restarted


@pytest.mark.parametrize("service", ["worker", "dispatcher", "beat"])
@pytest.mark.parametrize("broker", BROKERS)
def test_the_log_says_what_was_stuck(found, broker, service):
    assert f"watchdog: the {service} is stuck and is killed" in found[broker].log


@pytest.mark.parametrize("broker", BROKERS)
def test_what_was_started_again_works(found, broker):
    assert found[broker].sum == "9"


@pytest.mark.parametrize("broker", BROKERS)
def test_a_countdown_that_is_sent_before_any_worker_ran_is_kept(found, broker):
    assert found[broker].countdown == "9"


def test_the_brokers_redis_makes_no_snapshots_because_a_failed_one_would_refuse_all_writes(found):
    assert found["redis"].snapshots in (["save"], ["save", ""])
