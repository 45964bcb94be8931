"""Runs one job in a worker: claims it, calls its function, and writes how it ended."""

import logging
from contextlib import nullcontext

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import transaction

from jobs import lifecycle, registry
from jobs.attempt import Attempt
from jobs.exceptions import JobCancelled, LeaseLost, UnknownKind
from jobs.models import Job

logger = logging.getLogger(__name__)


def execute(job_id: str) -> None:
    """Run a job once, if this worker may run it.

    The broker may deliver a message twice, and a job may be cancelled after it was published. In both cases this does
    nothing. The errors of a job are written to its row and not raised.

    Args:
        job_id: The primary key of the job.

    Raises:
        BaseException: The worker is being stopped, for example by SystemExit. The job has been released.
    """
    job = lifecycle.claim(job_id)
    if job is None:
        logger.info("job %s: nothing to do, because it is running elsewhere, has finished, or is not due", job_id)
        return
    try:
        kind = registry.get(job.kind)
    except UnknownKind as error:  # This worker runs older or newer code than the process that submitted the job.
        lifecycle.schedule_retry(job, str(error))
        return
    try:
        _run_attempt(kind, job)
    except LeaseLost as error:
        logger.warning("%s, so its writes are rolled back", error)
    except JobCancelled:
        lifecycle.mark_cancelled(job)
    except Exception as error:
        if kind.may_pass(error):
            logger.warning("job %s: attempt %d of %d: %r", job, job.attempts, job.max_attempts, error)
            lifecycle.schedule_retry(job, _error_text(error))
        elif isinstance(error, SoftTimeLimitExceeded):
            limit = kind.soft_time_limit or settings.CELERY_TASK_SOFT_TIME_LIMIT
            lifecycle.mark_failed(job, f"it took longer than {limit} seconds")
        else:
            logger.exception("job %s failed", job)
            lifecycle.mark_failed(job, _error_text(error))
    except BaseException:  # The worker has been told to stop at once.
        lifecycle.release(job)
        raise


def _run_attempt(kind: registry.Kind, job: Job) -> None:
    attempt = Attempt(job, renew=lifecycle.renew_lease)
    try:
        with attempt, transaction.atomic() if kind.atomic else nullcontext():
            result = kind.function(**job.arguments)
            lifecycle.mark_succeeded(job, result, attempt.output, attempt.progress)
    finally:
        if attempt.files:
            _delete_unnamed_files(attempt)


def _delete_unnamed_files(attempt: Attempt) -> None:
    """Delete the files that the attempt has saved, except the one that the job's row names.

    An error does not mean that the job has failed: a callback of transaction.on_commit() may raise one after the
    commit. So only the row tells. If the database does not answer, the files stay until the job is deleted.
    """
    try:
        named = Job.objects.values_list("output", flat=True).get(pk=attempt.job.pk)
        for name in attempt.files:
            if name != named:
                default_storage.delete(name)
    except Exception:  # It must not hide how the attempt has ended.
        logger.warning("job %s: its unused files were not deleted", attempt.job, exc_info=True)


def _error_text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("\0", "")  # PostgreSQL cannot store NUL in a text
