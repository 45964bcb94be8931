"""The worker's heartbeat: its file stays young while the worker is connected and no pool process is stuck."""

import os
import threading
import time
from pathlib import Path
from typing import Any

from celery import bootsteps

from ops import heartbeat

INTERVAL = 1.0  # seconds between two touches
# A pool process counts as stuck if it has not run any Python code for this long (seconds), because it is stopped or
# caught inside a library. A process that computes or waits for a long time is not stuck.
STUCK_AFTER = 30


class WorkerHeartbeat(bootsteps.StartStopStep):
    """Touches the worker's heartbeat file every INTERVAL seconds, unless a pool process is stuck.

    The worker's event loop does this. The loop turns only while the worker is connected to the broker, so the file also
    grows old when the connection is lost.
    """

    requires = ("celery.worker.components:Timer", "celery.worker.components:Pool")

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.entry: Any = None
        self.first_seen: dict[int, float] = {}  # process ID: seconds since 1970

    def start(self, parent: Any) -> None:
        self.entry = parent.timer.call_repeatedly(INTERVAL, self.touch, (parent.pool,))

    def stop(self, parent: Any) -> None:
        if self.entry:
            self.entry.cancel()
            self.entry = None

    def touch(self, pool: Any) -> None:
        """Touch the worker's file if no process of `pool` is stuck, and delete the files of processes that ended."""
        now = time.time()
        processes = pool.info.get("processes", [])
        for ended in self.first_seen.keys() - set(processes):
            pool_process_file(ended).unlink(missing_ok=True)
        # A new process has not touched its file yet, so its age counts from when it was first seen.
        self.first_seen = {process: self.first_seen.get(process, now) for process in processes}
        if all(now - _last_heartbeat(process, since) < STUCK_AFTER for process, since in self.first_seen.items()):
            heartbeat.file("worker").touch()


def _last_heartbeat(process: int, since: float) -> float:
    """Return when the process last touched its file (seconds since 1970), or `since` if it has not done so yet."""
    try:
        return max(since, pool_process_file(process).stat().st_mtime)
    except FileNotFoundError:
        return since


def pool_process_file(process: int) -> Path:
    """Return the file that the pool process with this process ID touches."""
    return heartbeat.file(f"worker.{process}")


def start_in_pool_process(**kwargs: Any) -> None:
    """Receiver of worker_process_init: start a thread that touches this process's file as long as Python runs."""

    def touch() -> None:
        while True:
            file.touch()
            time.sleep(STUCK_AFTER / 6)

    file = pool_process_file(os.getpid())
    threading.Thread(target=touch, name="heartbeat", daemon=True).start()
