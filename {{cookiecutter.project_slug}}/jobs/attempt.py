"""One attempt at a job while it runs: the functions that a job may call, and the thread that renews the lease."""

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection

from jobs.exceptions import JobCancelled, LeaseLost

if TYPE_CHECKING:  # Every app's jobs.py imports this module, and Django may not have loaded the models yet.
    from jobs.models import Job

logger = logging.getLogger(__name__)

PROGRESS_INTERVAL = 1.0  # seconds between two writes of the progress, at least
MAX_NOTE_LENGTH = 200  # characters, as in the column


class Progress(NamedTuple):
    """How far a job is: `done` of `total`, and a short text. A total of 0 means that it is not known."""

    done: int = 0
    total: int = 0
    note: str = ""


_current: ContextVar["Attempt | None"] = ContextVar("attempt", default=None)


def progress(done: int, total: int, note: str = "") -> None:
    """Report from inside a job how far it is.

    Calling this often is cheap, because a thread writes the latest values to the database once a second. Let the
    exceptions pass through the job. Outside a job, for example in a test that calls the function, nothing happens.

    Args:
        done: How much of the work is done, in any unit.
        total: How much work there is, in the same unit. 0 if the total is not known.
        note: A few words for the page, for example the unit.

    Raises:
        JobCancelled: Somebody cancelled the job.
        LeaseLost: Another worker has claimed the job.
    """
    attempt = _current.get()
    if attempt:
        attempt.report_progress(done, total, note)


@contextmanager
def output(name: str) -> Iterator[BinaryIO]:
    """Open a binary file for a job to write, which its owner can download once the job has succeeded.

    The file is temporary until the block ends and is then saved to the default storage. Outside a job it is discarded.

    Args:
        name: The name under which the owner downloads the file.

    Raises:
        JobCancelled: Somebody cancelled the job.
        LeaseLost: Another worker has claimed the job.
    """
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        attempt = _current.get()
        if attempt:
            attempt.raise_if_stopped()
            path = f"jobs/{attempt.job.pk}/{attempt.job.attempts}/{name}"
            attempt.output = default_storage.save(path, File(file))


class Attempt:
    """A context manager whose thread renews the lease, writes progress, and notices when the job is cancelled."""

    def __init__(self, job: "Job", renew: Callable[["Job", Progress], bool]) -> None:
        """Prepare an attempt at a claimed job.

        Args:
            job: The job that this worker has claimed.
            renew: Renews the job's lease, writes its progress, and returns whether the job has been asked to stop.
                Raises LeaseLost if another worker has claimed the job.
        """
        self.job = job
        self.progress = Progress()
        self.output = ""
        self._renew = renew
        self._written = self.progress
        self._stop_reason: Exception | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew_lease, name=f"job {job.pk}", daemon=True)

    def report_progress(self, done: int, total: int, note: str) -> None:
        """Remember how far the job is. Raises JobCancelled or LeaseLost if the job must stop."""
        self.progress = Progress(done, total, note[:MAX_NOTE_LENGTH])
        self.raise_if_stopped()

    def raise_if_stopped(self) -> None:
        """Raise JobCancelled or LeaseLost if the job must stop."""
        if self._stop_reason:
            raise self._stop_reason

    def __enter__(self) -> "Attempt":
        self._token = _current.set(self)
        self._thread.start()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _current.reset(self._token)
        self._end.set()
        self._thread.join(timeout=5)
        if error_type and self.output:
            default_storage.delete(self.output)

    def _renew_lease(self) -> None:
        """Renew the lease whenever a third of it has passed, and write new progress.

        This runs in a thread, because a thread has its own database connection: lease and progress must be committed
        while the function's transaction is still open.
        """
        renew_after = settings.JOBS_LEASE_SECONDS / 3
        renewed_at = time.monotonic()
        while not self._end.wait(min(PROGRESS_INTERVAL, renew_after)):
            if self.progress == self._written and time.monotonic() < renewed_at + renew_after:
                continue
            latest = self.progress
            try:
                cancel_requested = self._renew(self.job, latest)
            except LeaseLost as error:
                self._stop_reason = error
                break
            except DatabaseError as error:
                # The next round tries again. If the database stays down, the lease expires and another worker may
                # claim the job.
                logger.warning("job %s: the lease was not renewed: %s", self.job.pk, error)
                connection.close()
                continue
            renewed_at, self._written = time.monotonic(), latest
            if cancel_requested:
                self._stop_reason = JobCancelled("cancelled while it was running")
        connection.close()
