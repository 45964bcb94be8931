"""Runs jobs in a worker: claims one, calls its function, and writes how it ended."""

import logging
import time
from contextlib import nullcontext

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection, transaction

from jobs import lifecycle, registry, stops
from jobs.attempt import Attempt
from jobs.exceptions import JobCancelled, LeaseLost, UnknownKind
from jobs.models import Job
from ops.request_id import REQUEST_ID

logger = logging.getLogger(__name__)


def execute(job_id: str, task_id: str = "") -> None:
    """Run a job once, if this worker may run it, and then further jobs of the same kind and owner.

    The broker may deliver a message twice, and a job may be cancelled after it was published. In both cases this does
    nothing. The errors of a job are written to its row and not raised, even SystemExit, which would end the process.

    A message costs more than a short job. So when a job has succeeded, the worker goes on with the owner's next one
    until JOBS_TURN_SECONDS have passed. Then it takes a message again, perhaps of another owner.

    Args:
        job_id: The primary key of the job.
        task_id: The id of the Celery task that runs it.

    Raises:
        BaseException: The worker is being stopped. The job has been released.
    """
    turn_ends = time.monotonic() + settings.JOBS_TURN_SECONDS
    job = lifecycle.claim(job_id, task_id)
    if job is None:
        logger.info("job %s: nothing to do, because it is running elsewhere, has finished, or is not due", job_id)
    while job and _execute(job) and time.monotonic() < turn_ends:
        job = lifecycle.claim_next(job)
        if job:
            REQUEST_ID.set(job.request_id)  # for the log, as if the job had a message


def _execute(job: Job) -> bool:
    """Run a claimed job, and write how it ended. Return whether it has succeeded.

    Raises:
        BaseException: The worker is being stopped. The job has been released.
    """
    started = time.monotonic()
    try:
        kind = registry.get(job.kind)
    except UnknownKind as error:  # This worker runs older or newer code than the process that submitted the job.
        lifecycle.schedule_retry(job, str(error))
        return False
    try:
        _run_attempt(kind, job)
        logger.info("job %s succeeded in %.3f s", job, time.monotonic() - started)
        return True
    except LeaseLost as error:
        logger.warning("%s, so its result is not stored", error)
    except JobCancelled:
        lifecycle.mark_cancelled(job)
    except BaseException as error:
        limit = kind.soft_time_limit or settings.CELERY_TASK_SOFT_TIME_LIMIT
        if not stops.is_requested(error):
            _end_with_error(kind, job, error, limit)
            return False
        # The hard time limit sends the same signal as a stop. It was the time limit if the soft limit has passed
        # already.
        try:
            if time.monotonic() - started < limit:
                lifecycle.release(job)
            else:
                lifecycle.mark_failed(job, _too_long(limit))
        except DatabaseError as database_error:  # The process must end nevertheless.
            logger.warning("job %s waits until its lease has expired: %s", job, database_error)
        if isinstance(error, Exception):  # The stop raised SystemExit, but then the function's clean-up raised this.
            raise SystemExit from error
        raise
    return False


def _end_with_error(kind: registry.Kind, job: Job, error: BaseException, limit: float) -> None:
    """Record in the job's row that its function has raised `error`."""
    if kind.may_pass(error):
        logger.warning("job %s: attempt %d of %d: %r", job, job.counted_attempts, job.max_attempts, error)
        lifecycle.schedule_retry(job, _error_text(error))
    elif isinstance(error, SoftTimeLimitExceeded):
        lifecycle.mark_failed(job, _too_long(limit))
    elif lifecycle.mark_failed(job, _error_text(error)):
        logger.error("job %s failed", job, exc_info=error)
    else:
        # For example, a callback of transaction.on_commit() has raised it, and the job had succeeded before.
        logger.error("job %s: an error after its end", job, exc_info=error)


def _too_long(limit: float) -> str:
    return f"it took longer than {limit} seconds"


def _error_text(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}".replace("\0", "")  # PostgreSQL cannot store NUL in a text …
    return text.encode(errors="backslashreplace").decode()  # … and no database can store a lone surrogate


def _run_attempt(kind: registry.Kind, job: Job) -> None:
    attempt = Attempt(job, renew=lifecycle.renew_lease)
    try:
        with attempt, transaction.atomic() if kind.atomic else nullcontext():
            result = kind.function(**job.arguments)
            lifecycle.mark_succeeded(job, result, attempt.output, attempt.progress)
    except (SoftTimeLimitExceeded, SystemExit):
        # A signal's handler may have raised it during a query. Then the connection can't execute another one.
        if not connection.in_atomic_block:
            connection.close()
        raise
    finally:
        if attempt.files:
            _delete_unnamed_files(attempt)


def _delete_unnamed_files(attempt: Attempt) -> None:
    """Delete the files that the attempt has saved, except the one that the job's row names.

    An error does not mean that the job has failed: a callback of transaction.on_commit() may raise one after the
    commit. So only the row says which file is in use. If the database does not answer, the files stay until the job is
    deleted.
    """
    try:
        named = Job.objects.values_list("output", flat=True).get(pk=attempt.job.pk)
        for name in attempt.files:
            if name != named:
                default_storage.delete(name)
    except Exception:  # It must not hide how the attempt has ended.
        logger.warning("job %s: its unused files were not deleted", attempt.job, exc_info=True)
