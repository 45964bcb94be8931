"""A stop of the worker is told apart from a function that exits: jobs/stops.py."""

import os
import signal
import sys

import pytest
from billiard.context import ForkContext
from celery.exceptions import WorkerShutdown, WorkerTerminate

from jobs import stops
from tests.support.waiting import wait_for


def exit_by_itself():
    sys.exit(3)


def get_sigterm():
    os.kill(os.getpid(), signal.SIGTERM)


def get_sigterm_and_fail():
    try:
        get_sigterm()
    finally:
        raise ValueError("closed file")


def interrupt_itself():
    raise KeyboardInterrupt


def run_task(end, answer):
    try:
        end()
    except BaseException as error:
        answer.write_text(str(stops.is_requested(error)))
        raise


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "requested"),
    [(exit_by_itself, False), (interrupt_itself, False), (get_sigterm, True), (get_sigterm_and_fail, True)],
)
def test_a_pool_process_knows_whether_it_was_told_to_stop(tmp_path, end, requested):
    """In a real process of billiard's pool, which has the same signal handlers as in a worker."""
    answer = tmp_path / "answer"
    pool = ForkContext().Pool(1, lost_worker_timeout=0.1)  # seconds for which it waits for a dead process's result
    pool.apply_async(run_task, [end, answer])
    wait_for(lambda: answer.exists() and answer.read_text(), "the task's end")
    pool.terminate()
    pool.join()

    assert answer.read_text() == str(requested)


@pytest.mark.parametrize("error", [WorkerShutdown(0), WorkerTerminate(0), KeyboardInterrupt()], ids=repr)
def test_a_worker_that_runs_tasks_in_its_own_process_knows_whether_it_was_told_to_stop(error, with_ctrl_c):
    assert stops.is_requested(error)


@pytest.mark.parametrize("error", [SystemExit(0), ValueError()], ids=repr)
def test_any_other_error_is_the_tasks_own(error):
    assert not stops.is_requested(error)
