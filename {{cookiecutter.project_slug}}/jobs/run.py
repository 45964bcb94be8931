"""One attempt at a job, while it runs: what its function may call, and the timer that keeps its claim."""

import logging
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import BinaryIO

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection

logger = logging.getLogger(__name__)

_current: ContextVar["Run | None"] = ContextVar("run", default=None)

TICK = 1.0  # seconds: how often progress is written, at most


class Cancelled(Exception):
    """The owner asked the running job to stop."""


class ClaimLost(Exception):
    """Another worker has this job now: nothing of this attempt may be written."""


def progress(done: int, total: int, note: str = "") -> None:
    """Say from inside a job how far it is: `done` of `total`, and a few words if there are any.

    Cheap: a timer writes the latest values once a second. Raises Cancelled if the job was asked to stop, and ClaimLost
    if another worker has it by now; let both pass. Outside a job, as in a test of the function, it does nothing.
    """
    run = _current.get()
    if run:
        run.report(done, total, note)


@contextmanager
def output(name: str) -> Iterator[BinaryIO]:
    """Give a job a file to write (binary) that its owner can download as `name`, once the job has succeeded.

    It is a temporary file until the block ends, then it goes to the default storage. Outside a job it is thrown away.
    """
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        run = _current.get()
        if run:
            run.stop_if_asked()
            run.output = default_storage.save(f"jobs/{run.job.pk}/{run.job.attempts}/{name}", File(file))


class Run:
    """Runs in a `with`: inside it, a thread renews the lease, writes progress, and listens for a request to stop."""

    def __init__(self, job):
        self.job = job
        self.progress = (0, 0, "")
        self.output = ""
        self._written = self.progress
        self._stop_reason: Exception | None = None
        self._end = threading.Event()
        self._timer = threading.Thread(target=self._keep, name=f"job {job.pk}", daemon=True)

    def report(self, done: int, total: int, note: str) -> None:
        self.progress = (done, total, note[:200])
        self.stop_if_asked()

    def stop_if_asked(self) -> None:
        if self._stop_reason:
            raise self._stop_reason

    def __enter__(self):
        self._token = _current.set(self)
        self._timer.start()
        return self

    def __exit__(self, error, *_):
        _current.reset(self._token)
        self._end.set()
        self._timer.join(timeout=5)
        if error and self.output:
            default_storage.delete(self.output)

    def _keep(self) -> None:
        """Renew the lease in a third of its time, and write progress when there is some. A connection of this thread's
        own: what the function does in its transaction is not committed yet, progress and lease must be.
        """
        from jobs import ledger

        renew_after = settings.JOBS_LEASE_SECONDS / 3
        renewed = time.monotonic()
        while not self._end.wait(min(TICK, renew_after)):
            if self.progress == self._written and time.monotonic() < renewed + renew_after:
                continue
            now = self.progress
            try:
                asked_to_stop = ledger.renew(self.job, *now)
            except ClaimLost as lost:
                self._stop_reason = lost
                break
            except DatabaseError as error:
                # The next turn tries again; if the database stays away, the lease ends and the job is another's.
                logger.warning("job %s: the lease was not renewed: %s", self.job.pk, error)
                connection.close()
                continue
            renewed, self._written = time.monotonic(), now
            if asked_to_stop:
                self._stop_reason = Cancelled("cancelled while it ran")
        connection.close()
