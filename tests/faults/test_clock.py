"""A worker whose clock jumps by ten minutes and back, by way of libfaketime in an image of its own."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.conftest import COMES_BACK, prepare
from tests.faults.fault_run import wait_until_idle

pytestmark = pytest.mark.usefixtures("long_form")

DOCKERFILE = """
FROM {image}
USER root
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libfaketime
USER 1000:1000
"""
WITH_A_CLOCK = """
services:
  worker:
    image: ${COMPOSE_PROJECT_NAME}:clock
    environment:
      LD_PRELOAD: /usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1
      FAKETIME_TIMESTAMP_FILE: /app/var/clock
      FAKETIME_CACHE_DURATION: 1
      # only the time of day jumps
      DONT_FAKE_MONOTONIC: 1
"""


@pytest.fixture(scope="module")
def stack(running, broker):
    def change(folder: Path) -> None:
        prepare(folder)
        (folder / "var/clock").write_text("+0\n")
        (folder / "compose.clock.yaml").write_text(WITH_A_CLOCK)

    with running(change=change, broker=broker) as stack:
        image = stack.image("clock")
        dockerfile = DOCKERFILE.format(image=stack.image("development"))
        built = stack.run("docker", "build", "--quiet", "--tag", image, "-", input=dockerfile)
        if built.returncode:
            pytest.skip(f"no image with libfaketime: {built.stderr.splitlines()[-1]}")
        stack.environment["COMPOSE_FILE"] = "compose.yaml:compose.override.yaml:compose.clock.yaml"
        stack.compose("up", "--detach", "--no-deps", "--wait", "worker")
        yield stack
    subprocess.run(["docker", "image", "rm", "--force", image], capture_output=True, check=False)


def seconds_ahead(stack) -> float:
    """Return how far the worker's clock is ahead of this machine's."""
    clock = stack.compose("exec", "--no-TTY", "worker", "date", "+%s").stdout
    return float(clock) - time.time()


def test_a_worker_whose_clock_jumps_loses_nothing(stack, broker, fault_run):
    with fault_run(
        "o: the worker's clock jumps ten minutes ahead, and back after 10 s",
        late=["tasks"] if broker == "redis" else [],
    ) as case:
        case.submit(tasks=300, jobs=300, seconds=0.2)
        case.wait_until_worked_on()
        (stack.folder / "var/clock").write_text("+600s\n")
        time.sleep(10)
        assert seconds_ahead(stack) > 500
        (stack.folder / "var/clock").write_text("+0\n")


def test_in_the_end_nothing_is_lost_and_no_job_was_worked_twice(fault_runs):
    wait_until_idle(fault_runs, seconds=COMES_BACK + 60)
