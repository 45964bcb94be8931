"""Runs one job in a worker: claims it, calls its function, and writes how it ended."""

import logging
from contextlib import nullcontext

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
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
    with (
        Attempt(job, renew=lifecycle.renew_lease) as attempt,
        transaction.atomic() if kind.atomic else nullcontext(),
    ):
        result = kind.function(**job.arguments)
        lifecycle.mark_succeeded(job, result, attempt.output, attempt.progress)


def _error_text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("\0", "")  # PostgreSQL cannot store NUL in a text
