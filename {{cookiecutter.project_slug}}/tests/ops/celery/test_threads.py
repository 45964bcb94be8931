"""A worker with threads stops in time, and hands back what it has not finished: ops/celery/threads.py."""

import signal
import threading
from pathlib import Path

import pytest

from ops.celery.threads import TaskPool
from tests.support import processes
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

SAYS = {"SIGTERM": "Warm shutdown", "SIGQUIT": "Cold shutdown"}


def message(folder: Path) -> str:
    """Return the message that is in the queue, or an empty text. The broker of these tests keeps it in a file."""
    return "".join(file.read_text() for file in folder.glob("broker/*.msg"))


@pytest.mark.parametrize("signals", [["SIGQUIT"], ["SIGTERM", "SIGQUIT"]], ids=" then ".join)
def test_a_cold_shutdown_gives_the_message_of_a_running_task_back(tmp_path, signals):
    """In production, the SIGQUIT after SIGTERM comes from ops/celery/shutdown.py when the time for a warm shutdown is
    over.
    """
    log = tmp_path / "worker.log"
    processes.send("sleep", log)
    with processes.worker(log, "--pool", "threads") as worker:
        wait_for(lambda: "received" in log.read_text(), "the task", seconds=20)
        assert message(tmp_path) == ""

        for name in signals:
            worker.send_signal(getattr(signal, name))
            wait_for(lambda name=name: SAYS[name] in log.read_text(), f"an answer to {name}", seconds=20)

        assert worker.wait(timeout=20) == 0
    assert "ended although tasks were still running in 1 threads" in log.read_text()
    assert "failing.sleep" in message(tmp_path)


def test_a_task_that_exits_is_a_failure_and_does_not_occupy_its_thread(tmp_path):
    """It is tried again, as after the death of a process, and the worker's only thread then runs the next task."""
    log = tmp_path / "worker.log"
    processes.send("leave", log)
    processes.send("talk", log)
    with processes.worker(log, "--pool", "threads"):
        wait_for(lambda: "said by print" in log.read_text(), "the next task", seconds=20)
        wait_for(lambda: "WorkerLostError" in log.read_text(), "the failure", seconds=20)


def test_after_a_lost_connection_tasks_that_wait_for_a_thread_are_forgotten():
    """The broker delivers them again. Running tasks continue."""
    ran, go_on = [], threading.Event()
    pool = TaskPool(1)
    pool.on_apply(go_on.wait, [10], {}, callback=ran.append, accept_callback=lambda *ids: None)
    wait_for(pool.has_free_thread, "the start of the first task")
    pool.on_apply(lambda: "second", [], {}, callback=ran.append, accept_callback=lambda *ids: None)
    assert not pool.has_free_thread()

    pool.flush()
    go_on.set()
    pool.on_apply(lambda: "third", [], {}, callback=ran.append, accept_callback=lambda *ids: None)
    wait_for(lambda: "third" in ran, "the next task")
    pool.on_stop()

    assert ran == [True, "third"]


def test_a_warm_shutdown_waits_for_running_tasks(tmp_path):
    log = tmp_path / "worker.log"
    processes.send("talk", log)
    with processes.worker(log, "--pool", "threads") as worker:
        wait_for(lambda: "received" in log.read_text(), "the task", seconds=20)

        worker.terminate()

        assert worker.wait(timeout=20) == 0
    assert "said by print" in log.read_text()
    assert "succeeded" in log.read_text()
    assert "still running" not in log.read_text()
