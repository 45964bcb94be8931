"""Finds out whether a job's function has ended by itself or because the worker is being stopped."""

import signal

from billiard.common import terminate_handler_fired
from celery.exceptions import WorkerShutdown, WorkerTerminate


def is_requested(error: BaseException) -> bool:
    """Return whether the function of a job ends with `error` because somebody stops this process.

    Otherwise the function itself has raised the error, for example by calling sys.exit().

    A process of Celery's pool is stopped by SIGTERM, for whatever reason: because the worker has to stop before its
    tasks have ended (ops/celery/shutdown.py), because it has lost its broker (if
    CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS is set), or because the task has
    run for longer than its hard time limit. Then billiard's handler of the signal raises SystemExit.
    """
    # In a pool process the class of the error says nothing: the function's clean-up may raise another one.
    if terminate_handler_fired() or isinstance(error, WorkerShutdown | WorkerTerminate):
        return True
    # Ctrl-C in a process that runs jobs itself, for example in a shell. Pool processes ignore it.
    return isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) != signal.SIG_IGN
