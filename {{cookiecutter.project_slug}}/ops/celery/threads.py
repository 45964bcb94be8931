"""Celery's pool of threads (`--pool threads`), changed so that a stopping worker gives unfinished tasks back.

Nothing can end a thread. At a cold shutdown Celery's own pool raises an error, and its worker then waits for the
threads until Docker kills it. Tasks of a killed worker may start again only minutes later.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.concurrency import ALIASES
from celery.concurrency.prefork import _run_ready_callbacks
from celery.concurrency.thread import TaskPool as CeleryTaskPool
from celery.utils import log as celery_log
from celery.utils.dispatch import Signal
from celery.worker import state
from django.conf import settings
from kombu.asynchronous import get_event_loop

logger = logging.getLogger(__name__)

# Sent by a worker that is about to end although tasks still run in its threads.
threads_abandoned = Signal(name="threads_abandoned")


class TaskPool(CeleryTaskPool):
    """A pool of threads that a stopping worker abandons when the time is over."""

    def on_apply(
        self,
        target: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[..., Any] | None = None,
        error_callback: Callable[..., Any] | None = None,
        **options: Any,
    ) -> Any:
        """Run a task in a thread. A task that exits, for example by sys.exit(), counts as one whose process was killed.

        Celery's own pool would neither acknowledge the message of such a task nor log anything.
        """

        def on_end(result: Any) -> None:
            handle = error_callback if isinstance(result, ExceptionInfo) else callback
            if handle:
                handle(result)

        return super().on_apply(target, args, kwargs, on_end, accept_callback, **options)

    def terminate_job(self, pid: int | None, signal: int | None = None) -> None:
        """Do nothing, because nothing can end a thread.

        Celery calls this for each running task at a cold shutdown. It also does so after a lost connection, if
        CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS is set. The thread then goes on with its task all the
        same.
        """

    def flush(self) -> None:
        """Forget the tasks that no thread has begun. After a lost connection the broker delivers them again."""
        waiting = self.executor._work_queue
        try:
            while item := waiting.get_nowait():
                item.future.cancel()
        except queue.Empty:
            pass

    def on_stop(self) -> None:
        """Wait until the running tasks have ended, for DRAIN_SECONDS at most, or until a cold shutdown begins."""
        if celery_log._in_sighandler:  # Celery's handler of SIGQUIT, which begins a cold shutdown, calls this too.
            return
        self.executor.shutdown(wait=False, cancel_futures=True)
        hub, end = get_event_loop(), time.monotonic() + settings.DRAIN_SECONDS
        while (running := self.running()) and not state.should_terminate and time.monotonic() < end:
            running[0].join(timeout=0.1)
            if hub:  # The loop stands still, so heartbeats to the broker and acknowledgements have to be sent here.
                with suppress(Exception):  # The broker may be down.
                    hub.fire_timers()
                    _run_ready_callbacks(hub)

    def running(self) -> list[threading.Thread]:
        """Return the threads that have not ended."""
        return [thread for thread in self.executor._threads if thread.is_alive()]

    def has_free_thread(self) -> bool:
        """Tell whether no task waits for a thread."""
        return bool(self.executor._work_queue.empty())

    def abandon(self) -> None:
        """End the process at once if tasks still run. Otherwise Python would wait for their threads.

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
