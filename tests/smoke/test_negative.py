"""The smoke test can fail: each spoilt project is caught, and the message names the cause."""

from pathlib import Path

import pytest

from tests.running.editing import replace
from tests.running.stack import StackError


def wrong_broker_host(folder: Path) -> None:
    replace(folder / "compose.yaml", "//redis:6379/0", "//nowhere:6379/0")


def eager_mode(folder: Path) -> None:
    with (folder / "config/settings/dev.py").open("a") as settings:
        settings.write("\nCELERY_TASK_ALWAYS_EAGER = True\n")


def queue_without_consumer(folder: Path) -> None:
    replace(folder / "config/settings/celery.py", '[queue("default")]', '[queue("default"), queue("other")]')
    replace(folder / "compose.yaml", "--hostname, worker@%h,", "--hostname, worker@%h, --queues, other,")


def test_a_wrong_broker_host_is_named(running):
    with pytest.raises(StackError, match=r"CommandError: the broker redis://:\*\*@nowhere:6379/0 does not answer"):
        with running(wrong_broker_host, seconds=45):
            pass


def test_a_queue_that_nobody_consumes_is_named(running):
    with running(queue_without_consumer, services=["web", "worker"]) as stack:
        with pytest.raises(StackError, match="no worker consumes the queue 'default'"):
            stack.check_add()


@pytest.mark.parametrize("result_backend", ["redis", "none"])
def test_eager_mode_is_named(running, result_backend):
    with running(eager_mode, services=["web", "worker"], result_backend=result_backend) as stack:
        with pytest.raises(StackError, match="eager mode is on"):
            stack.check_add()
