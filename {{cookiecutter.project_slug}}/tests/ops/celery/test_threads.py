"""A worker with threads stops in time, and hands back what it has not finished: ops/celery/threads.py."""

import signal
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

SAYS = {"SIGTERM": "Warm shutdown", "SIGQUIT": "Cold shutdown"}


def message(folder: Path) -> str:
    """Return the message that is in the queue, or an empty text. The broker of these tests keeps it in a file."""
    return "".join(file.read_text() for file in folder.glob("broker/*.msg"))


@pytest.mark.parametrize("signals", [["SIGQUIT"], ["SIGTERM", "SIGQUIT"]], ids=" then ".join)
def test_a_cold_shutdown_gives_the_message_of_a_running_task_back(tmp_path, signals):
    """The second SIGQUIT comes from ops/celery/shutdown.py when the time for a warm shutdown is over."""
    log = tmp_path / "worker.log"
    with processes.worker(log, "--pool", "threads") as worker:
        processes.send("sleep", log)
        wait_for(lambda: "received" in log.read_text(), "the task", seconds=20)
        assert message(tmp_path) == ""

        for name in signals:
            worker.send_signal(getattr(signal, name))
            wait_for(lambda name=name: SAYS[name] in log.read_text(), f"an answer to {name}", seconds=20)

        assert worker.wait(timeout=20) == 0
    assert "ended although tasks were still running in 1 threads" in log.read_text()
    assert "failing.sleep" in message(tmp_path)


def test_a_warm_shutdown_waits_for_running_tasks(tmp_path):
    log = tmp_path / "worker.log"
    with processes.worker(log, "--pool", "threads") as worker:
        processes.send("talk", log)
        wait_for(lambda: "received" in log.read_text(), "the task", seconds=20)

        worker.terminate()

        assert worker.wait(timeout=20) == 0
    assert "said by print" in log.read_text()
    assert "succeeded" in log.read_text()
    assert "still running" not in log.read_text()
