"""A new release under load, in the production shape: the image is built anew, worker and web are replaced, and there
is one worker more.
"""

import subprocess

import pytest

from tests.conftest import SLUG
from tests.faults.conftest import prepare
from tests.running.stack import Stack

pytestmark = pytest.mark.usefixtures("long_form")


@pytest.fixture(scope="module")
def stack(running, broker):
    images = set()
    with running(change=prepare, files=["compose.yaml"], broker=broker) as stack:
        images.add(image())
        yield stack
        images.add(image())
    subprocess.run(["docker", "image", "rm", "--force", *images], capture_output=True, check=False)


def image() -> str:
    """Return the id of the image that services are started from."""
    command = ["docker", "image", "inspect", "--format", "{{.Id}}", f"{SLUG}:latest"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(("count", "seconds"), [(300, 0.2), (12, 15)])
def test_a_rolling_redeploy_loses_nothing(stack, trial, count, seconds):
    before = image()
    with trial(f"l: a new release under {count} tasks of {seconds} s") as case:
        case.submit(plain=count, jobs=count, seconds=seconds)
        case.wait_until_started()
        release(stack)
    assert image() != before


def release(stack: Stack) -> None:
    """Build the image with a changed line, and replace first the workers, which know all old tasks and the new ones,
    then web.
    """
    with (stack.folder / "load/tasks.py").open("a") as code:
        code.write("\n# a new line\n")
    stack.compose("build", "migrate")
    stack.compose("up", "--detach", "--no-deps", "--wait", "--scale", "worker=2", "worker")
    stack.compose("up", "--detach", "--no-deps", "--wait", "web", "sweep", "beat")
