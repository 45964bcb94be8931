"""Files that processes touch while they work; their age says whether they still do.

The health checks in compose.yaml look at the age. That costs a `find` (milliseconds), where `celery inspect ping`
starts a Python with the whole project and asks through the broker.
"""

import os
import tempfile
import threading
import time
from pathlib import Path

from celery import bootsteps

FOLDER = Path(tempfile.gettempdir())
WORKER = FOLDER / "worker.alive"
SWEEP = FOLDER / "sweep.alive"
{% if cookiecutter.beat %}
BEAT = FOLDER / "beat.alive"
{% endif %}
INTERVAL = 1.0  # seconds between two touches
# A process of the worker's pool that has not run any Python for this long (seconds) is stuck: stopped, or caught in a
# library. Not one that computes for long, or waits.
STUCK_AFTER = 30


class WorkerHeartbeat(bootsteps.StartStopStep):
    """Touches WORKER every INTERVAL seconds from the worker's event loop, while no process of the pool is stuck.

    The loop turns only while the worker is connected to the broker, so the file also grows old while it is not.
    """

    requires = ("celery.worker.components:Timer", "celery.worker.components:Pool")

    def __init__(self, parent, **kwargs):
        super().__init__(parent, **kwargs)
        self.entry = None
        self.seen: dict[int, float] = {}

    def start(self, parent):
        self.entry = parent.timer.call_repeatedly(INTERVAL, self.touch, (parent.pool,))

    def stop(self, parent):
        if self.entry:
            self.entry.cancel()
            self.entry = None

    def touch(self, pool) -> None:
        now = time.time()
        processes = pool.info.get("processes", [])
        for gone in self.seen.keys() - set(processes):
            pool_file(gone).unlink(missing_ok=True)
        # A new process has touched nothing yet: count from when it was first seen.
        self.seen = {process: self.seen.get(process, now) for process in processes}
        if all(now - last_sign(process, since) < STUCK_AFTER for process, since in self.seen.items()):
            WORKER.touch()


def last_sign(process: int, since: float) -> float:
    """Return when the pool's process last touched its file (seconds since 1970): `since` if it was before, or never."""
    try:
        return max(since, pool_file(process).stat().st_mtime)
    except FileNotFoundError:
        return since


def pool_file(process: int) -> Path:
    """Return the file that the pool's process with this id touches."""
    return FOLDER / f"worker.{process}.alive"


def start_in_pool_process(**kwargs) -> None:
    """Receiver of worker_process_init: touch this process's file as long as it can run Python."""

    def touch():
        while True:
            file.touch()
            time.sleep(STUCK_AFTER / 6)

    file = pool_file(os.getpid())
    threading.Thread(target=touch, name="heartbeat", daemon=True).start()
