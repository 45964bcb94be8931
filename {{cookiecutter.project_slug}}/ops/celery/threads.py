"""Celery's pool of threads (`--pool threads`), made to hand its tasks back when the worker has to stop before they end.

Nothing can end a thread. At a cold shutdown Celery's own pool raises an error, and its worker then waits for the
threads until Docker kills it. Tasks of a killed worker may start again only minutes later.
"""

import logging
import os
import threading

from celery.concurrency import ALIASES
from celery.concurrency.thread import TaskPool as CeleryTaskPool
from celery.utils import log as celery_log
from celery.utils.dispatch import Signal
from celery.worker import state

logger = logging.getLogger(__name__)

# Sent by a worker that is about to end although tasks still run in its threads.
threads_abandoned = Signal(name="threads_abandoned")


class TaskPool(CeleryTaskPool):
    """A pool of threads that a cold shutdown abandons."""

    def terminate_job(self, pid: int | None, signal: int | None = None) -> None:
        """Do nothing, because nothing can end a thread.

        Celery calls this for each running task at a cold shutdown. It also does so after a lost connection, if
        CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS is set. Then the task goes on.
        """

    def on_stop(self) -> None:
        """Wait until the running tasks have ended, or until a cold shutdown begins."""
        self.executor.shutdown(wait=False, cancel_futures=True)
        if celery_log._in_sighandler:  # Celery's handler of SIGQUIT, which begins a cold shutdown, calls this too.
            return
        while self.running() and not state.should_terminate:
            self.running()[0].join(timeout=0.1)

    def running(self) -> list[threading.Thread]:
        """Return the threads that have not ended."""
        return [thread for thread in self.executor._threads if thread.is_alive()]

    def abandon(self) -> None:
        """If tasks still run, end the process nevertheless. Python would wait for them at its end.

        The connection to the broker is closed by now, so the messages of these tasks have been given back.
        """
        running = self.running()
        if running:
            threads_abandoned.send_robust(sender=type(self))
            logger.warning("worker: ended although tasks were still running in %d threads", len(running))
            os._exit(os.EX_OK)


def install() -> None:
    """Let `--pool threads` mean this pool."""
    ALIASES["threads"] = f"{__name__}:TaskPool"
