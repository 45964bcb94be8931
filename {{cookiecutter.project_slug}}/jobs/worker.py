"""Works on one job: the body of the Celery task jobs.tasks.work."""

import logging
from contextlib import nullcontext

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import transaction

from jobs import ledger, registry
from jobs.run import Cancelled, ClaimLost, Run

logger = logging.getLogger(__name__)


def work(job_id: str) -> None:
    """Claim the job, call its function, write how it ended. A message that came twice, or for a job that is cancelled,
    does nothing.
    """
    job = ledger.claim(job_id)
    if job is None:
        logger.info("job %s: nothing to do, this message is a copy", job_id)
        return
    try:
        kind = registry.get(job.kind)
    except registry.UnknownKind as error:  # this worker's code is older than the sender's, or newer
        ledger.put_off(job, str(error))
        return
    try:
        _call(kind, job)
    except ClaimLost as error:
        logger.warning("%s: what it did is taken back", error)
    except Cancelled:
        ledger.stopped(job)
    except kind.retry_on as error:
        logger.warning("job %s: attempt %d of %d: %r", job, job.attempts, job.max_attempts, error)
        ledger.put_off(job, _text(error))
    except SoftTimeLimitExceeded:
        limit = kind.soft_time_limit or settings.CELERY_TASK_SOFT_TIME_LIMIT
        ledger.fail(job, f"it took longer than {limit} seconds")
    except Exception as error:
        logger.exception("job %s failed", job)
        ledger.fail(job, _text(error))
    except BaseException:  # the worker is told to stop at once
        ledger.give_back(job)
        raise


def _call(kind: registry.Kind, job) -> None:
    with Run(job) as run, transaction.atomic() if kind.atomic else nullcontext():
        result = kind.function(**job.arguments)
        ledger.succeed(job, result, run.output, run.progress)


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("\0", "")  # PostgreSQL's text can't hold it
