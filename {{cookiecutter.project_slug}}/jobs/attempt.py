"""One attempt at a job while it runs: the functions that a job may call, and the thread that renews the lease."""

import _thread
import logging
import operator
import reprlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models import BigIntegerField

from jobs.exceptions import JobCancelled, LeaseLost

if TYPE_CHECKING:  # Django imports this module with the package `jobs`, before it loads the models.
    from jobs.models import Job

logger = logging.getLogger(__name__)

PROGRESS_INTERVAL = 1.0  # seconds between two writes of the progress, at least
MAX_NOTE_LENGTH = 200  # characters, as in the column
MAX_NUMBER = BigIntegerField.MAX_BIGINT  # as in the columns `done` and `total`


class Progress(NamedTuple):
    """How far a job is: `done` of `total`, and a short text. A total of 0 means that it is not known."""

    done: int = 0
    total: int = 0
    note: str = ""


_current: ContextVar["Attempt | None"] = ContextVar("attempt", default=None)
running: set["Attempt"] = set()  # in this process: several if it has threads


def progress(done: int, total: int, note: str = "") -> None:
    """Report from inside a job how far it is.

    Calling this often is cheap, because a thread writes the latest values to the database once a second. The job must
    not catch JobCancelled or LeaseLost, because they stop it. Outside a job, for example in a test that calls the
    function, nothing is written, but the values are checked.

    Args:
        done: How much of the work is done, in any unit: a whole number that is not negative.
        total: How much work there is, in the same unit. 0 if the total is not known.
        note: A few words for the page, for example the unit. Only the first 200 characters are kept.

    Raises:
        JobCancelled: Somebody cancelled the job.
        LeaseLost: This attempt no longer holds the job, because its lease has expired.
        TypeError: A number is not a whole number, or the note is not a text.
        ValueError: A number is negative or does not fit into the database, or the note contains NUL or half a
            character (a lone surrogate).
    """
    latest = Progress(_checked_number("done", done), _checked_number("total", total), _checked_note(note))
    attempt = _current.get()
    if attempt:
        attempt.report_progress(latest)


def _checked_number(name: str, value: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):  # numpy's whole numbers have it, its floats do not
        raise TypeError(f"progress(): {name}={reprlib.repr(value)} is not a whole number")
    number = operator.index(value)
    if not 0 <= number <= MAX_NUMBER:
        shown = str(number) if number.bit_length() < 200 else f"a number of {number.bit_length()} bits"
        raise ValueError(f"progress(): {name}={shown} is not between 0 and {MAX_NUMBER}")
    return number


def _checked_note(note: str) -> str:
    if not isinstance(note, str):
        raise TypeError(f"progress(): note={reprlib.repr(note)} is not a text")
    note = note[:MAX_NOTE_LENGTH]
    if "\0" in note or any("\ud800" <= character <= "\udfff" for character in note):
        raise ValueError(f"progress(): note={note!r} contains NUL or half a character")
    return note


@contextmanager
def output(name: str) -> Iterator[BinaryIO]:
    """Open a binary file for a job to write, which its owner can download once the job has succeeded.

    The file is temporary until the block ends and is then saved to the default storage. Outside a job it is discarded.

    Args:
        name: The name under which the owner downloads the file.

    Raises:
        JobCancelled: Somebody cancelled the job.
        LeaseLost: This attempt no longer holds the job, because its lease has expired.
    """
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        attempt = _current.get()
        if attempt:
            attempt.raise_if_stopped()
            path = f"jobs/{attempt.job.pk}/{attempt.job.attempts}/{name}"
            attempt.output = default_storage.save(path, File(file))
            attempt.files.append(attempt.output)


class Attempt:
    """A context manager whose thread renews the lease, writes progress, and notices when the job is cancelled."""

    def __init__(self, job: "Job", renew: Callable[["Job", Progress], bool]) -> None:
        """Prepare an attempt at a claimed job.

        Args:
            job: The job that this worker has claimed.
            renew: Renews the job's lease, writes its progress, and returns whether the job has been asked to stop.
                Raises LeaseLost if this attempt no longer holds the job.
        """
        self.job = job
        self.progress = Progress()
        self.output = ""
        self.files: list[str] = []  # all that the attempt has saved; `output` is the last one
        self._renew = renew
        self._tried = self._written = self.progress
        self._stop_reason: Exception | None = None
        self._end, self._thread_ended = threading.Event(), threading.Event()
        self._thread_has_connection = False

    def report_progress(self, latest: Progress) -> None:
        """Remember how far the job is. Raises JobCancelled or LeaseLost if the job must stop."""
        self.progress = latest
        self.raise_if_stopped()

    def raise_if_stopped(self) -> None:
        """Raise JobCancelled or LeaseLost if the job must stop."""
        if self._stop_reason:
            raise self._stop_reason

    def __enter__(self) -> "Attempt":
        # Not threading.Thread: its start() waits until the thread runs, which takes longer than many short jobs.
        _thread.start_new_thread(self._run_thread, ())
        self._token = _current.set(self)
        running.add(self)
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _current.reset(self._token)
        running.discard(self)
        self._end.set()
        if self._thread_has_connection:
            self._thread_ended.wait(timeout=5)

    def _run_thread(self) -> None:
        try:
            self._renew_lease()
        finally:
            _close_connection()
            self._thread_ended.set()

    def _renew_lease(self) -> None:
        """Renew the lease whenever a third of it has passed, and write new progress.

        This runs in a thread, because a thread has its own database connection: lease and progress must be committed
        while the function's transaction is still open.
        """
        renew_after = settings.JOBS_LEASE_SECONDS / 3
        renewed_at = time.monotonic()
        while not self._end.wait(min(PROGRESS_INTERVAL, renew_after)):
            if self.progress == self._tried and time.monotonic() < renewed_at + renew_after:
                continue
            started_at = time.monotonic()
            self._thread_has_connection = True
            try:
                cancel_requested = self._write(self.progress)
            except LeaseLost as error:
                self._stop_reason = error
                break
            except Exception as error:  # Whatever it is, this thread must go on: the lease would expire without it.
                # The next round tries again. If the database stays down, the lease expires and another worker may
                # claim the job.
                logger.warning("job %s: the lease was not renewed: %s", self.job.pk, error)
                self._tried = self._written
                continue
            renewed_at = started_at
            if cancel_requested:
                self._stop_reason = JobCancelled("cancelled while it was running")

    def _write(self, latest: Progress) -> bool:
        """Renew the lease and write the progress. If the progress can't be written, renew the lease without it.

        Returns whether the job has been asked to stop. Raises LeaseLost, or the error of the last try.
        """
        self._tried = latest
        try:
            cancel_requested = self._renew(self.job, latest)
        except LeaseLost:
            raise
        except Exception as error:
            _close_connection()
            if latest == self._written:
                raise
            logger.warning("job %s: progress %s was not written: %s", self.job.pk, latest, error)
            try:
                return self._renew(self.job, self._written)
            except Exception:
                _close_connection()
                raise
        self._written = latest
        return cancel_requested


def _close_connection() -> None:
    """Close this thread's connection to the database. Its next query opens a new one."""
    with suppress(Exception):  # A broken connection may refuse even this.
        connection.close()
