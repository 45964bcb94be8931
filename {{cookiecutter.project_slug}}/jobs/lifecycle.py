"""Every change of a job's status. Each one is a single conditional UPDATE.

    waiting → running              claim: the first worker to ask gets the job
                                   claim_next: likewise, for a job that has no message yet
    running → succeeded            mark_succeeded: only by the attempt that holds the lease
    running → failed               mark_failed: likewise
    running → waiting              schedule_retry: the error is likely to pass
                                   release: the worker is being stopped
                                   recover_from_lost_process: the worker's process was killed
                                   recover_expired_leases: the worker is dead or hangs
                                   All but `release` end a job as failed at its last attempt.
    waiting → cancelled            cancel
    running → cancelled            cancel asks the job to stop, and mark_cancelled follows when it has stopped. The
                                   four functions of `running → waiting` also end such a job as cancelled.
    failed, cancelled → waiting    retry: somebody wants the job to run again

`attempts` counts the claims and is the fencing token. A worker that was thought dead and comes back writes nothing,
because its UPDATE matches only a running row with the number of its attempt. `interruptions` counts the attempts that
`release` has ended. They do not count against `max_attempts`, so a long job survives any number of deploys. All times
that are compared come from the database, because the clocks of machines differ.
"""

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery.utils.time import get_exponential_backoff_interval
from django.conf import settings
from django.db.models import Case, DurationField, F, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from jobs import registry
from jobs.attempt import Progress
from jobs.exceptions import LeaseLost
from jobs.models import Job
from jobs.notifications import notify_dispatcher
from jobs.statements import Parameter, Update, column

logger = logging.getLogger(__name__)

MAX_RETRY_DELAY = 600  # seconds between two attempts
LAST_ATTEMPT = Q(attempts__gte=F("max_attempts") + F("interruptions"))


def now_plus(seconds: float) -> Combinable:
    """Return the moment `seconds` from now by the database's clock, as an expression for a query."""
    return Now() + timedelta(seconds=seconds)


_NOW_DUE = Q(status=Job.Status.WAITING, run_after__lte=Now())


def _started() -> dict[str, Any]:
    """Return the columns of a job that has just been claimed."""
    return {
        "status": Job.Status.RUNNING,
        "attempts": F("attempts") + 1,
        "task_id": column("task_id"),
        "started_at": Now(),
        "lease_expires_at": Now() + Parameter("lease", DurationField()),
        "done": 0,
        "total": 0,
        "note": "",
    }


def _next_of(owner: Q) -> QuerySet[Job]:
    """Find the oldest of the owner's due jobs in this queue that have no message. Empty if that job is of another
    kind.
    """
    due = Job.objects.filter(_NOW_DUE, owner, queue=column("queue"), published_at=None).order_by("run_after")
    oldest = due.select_for_update(skip_locked=True).values("pk")[:1]
    return Job.objects.filter(pk=oldest, kind=column("kind"))


_CLAIM = Update(lambda: (Job.objects.filter(_NOW_DUE, pk=column("id")), _started()))
_CLAIM_NEXT_OF_OWNER = Update(lambda: (_next_of(Q(owner=column("owner"))), _started()))
_CLAIM_NEXT_WITHOUT_OWNER = Update(lambda: (_next_of(Q(owner=None)), _started()))


def _lease() -> timedelta:
    return timedelta(seconds=settings.JOBS_LEASE_SECONDS)


def claim(job_id: str | UUID, task_id: str = "") -> Job | None:
    """Start the next attempt at a job.

    Args:
        job_id: The primary key of the job.
        task_id: The id of the Celery task that runs it. Empty if none does, as in a test.

    Returns:
        The running job if this worker may run it. None if another worker has the job, or if it has finished, is not due
        yet, or does not exist.
    """
    return next(iter(_CLAIM(id=job_id, task_id=task_id, lease=_lease())), None)


def claim_next(job: Job) -> Job | None:
    """Start the next attempt at the job that is next after `job`, without a message for it.

    Returns:
        The running job. None if the owner has no due job without a message in this queue, or if the next one is of
        another kind.
    """
    same = {"queue": job.queue, "kind": job.kind, "task_id": job.task_id, "lease": _lease()}
    if job.owner_id is None:
        return next(iter(_CLAIM_NEXT_WITHOUT_OWNER(**same)), None)
    return next(iter(_CLAIM_NEXT_OF_OWNER(owner=job.owner_id, **same)), None)


def _held_by(job: Job) -> QuerySet[Job]:
    """Return the job's row if the attempt that `job` was claimed for still holds it, otherwise no row."""
    return Job.objects.filter(pk=job.pk, status=Job.Status.RUNNING, attempts=job.attempts)


def _lease_lost(job: Job) -> LeaseLost:
    return LeaseLost(f"job {job}: attempt {job.attempts} has lost its lease")


def renew_lease(job: Job, progress: Progress) -> bool:
    """Extend the lease by JOBS_LEASE_SECONDS from now, and write how far the job is.

    Returns:
        Whether somebody has asked the job to stop.

    Raises:
        LeaseLost: The attempt no longer holds the job: its lease has expired, or it was deleted.
    """
    lease = now_plus(settings.JOBS_LEASE_SECONDS)
    if not _held_by(job).update(lease_expires_at=lease, **progress._asdict()):
        raise _lease_lost(job)
    return Job.objects.values_list("cancel_requested", flat=True).get(pk=job.pk)


_MARK_SUCCEEDED = Update(
    lambda: (
        Job.objects.filter(pk=column("id"), status=Job.Status.RUNNING, attempts=column("attempts")),
        {name: column(name) for name in ("result", "output", "done", "total", "note")}
        | {"status": Job.Status.SUCCEEDED, "error": "", "lease_expires_at": None, "finished_at": Now()},
    )
)


def mark_succeeded(job: Job, result: Any, output: str, progress: Progress) -> None:
    """End the job as succeeded.

    Args:
        job: The job as `claim` returned it.
        result: What the job's function returned. It must be JSON.
        output: The name of the job's file in the default storage. Empty if the job has not written one.
        progress: The last progress that the job reported.

    Raises:
        LeaseLost: The attempt no longer holds the job: its lease has expired, or it was deleted. Inside a transaction,
            this takes back what the attempt has written to the database.
    """
    end = {"result": result, "output": output, **progress._asdict()}
    if not _MARK_SUCCEEDED(id=job.pk, attempts=job.attempts, **end):
        raise _lease_lost(job)


def mark_failed(job: Job, error: str) -> bool:
    """End the job as failed. Return False if this attempt no longer holds the job."""
    ended = {"lease_expires_at": None, "finished_at": Now()}
    return bool(_held_by(job).update(status=Job.Status.FAILED, error=error, **ended))


def mark_cancelled(job: Job) -> None:
    """End a running job as cancelled, after its function has stopped."""
    _held_by(job).update(status=Job.Status.CANCELLED, lease_expires_at=None, finished_at=Now())


def _end_attempt(rows: QuerySet[Job], error: str | Combinable, delay: float, failed: Q, **columns: Any) -> int:
    """Let running jobs wait for another attempt, or end them: as cancelled if they have been asked to stop, or as
    failed if `failed` is true of them.

    This is one UPDATE, so nothing can happen between looking at a job and changing it: no cancellation is lost.

    Args:
        rows: The jobs, which must be running.
        error: Why the attempt has ended.
        delay: Seconds until the next attempt may start.
        failed: Which of the jobs have no attempt left.
        columns: Further columns to set.

    Returns:
        How many jobs there were.
    """
    cancelled = Q(cancel_requested=True)
    return rows.update(
        status=Case(
            When(cancelled, then=Value(Job.Status.CANCELLED)),
            When(failed, then=Value(Job.Status.FAILED)),
            default=Value(Job.Status.WAITING),
        ),
        finished_at=Case(When(cancelled | failed, then=Now())),
        error=error,
        # Not now_plus(0): SQLite compares times as text, and writes the result of an addition in another format.
        run_after=now_plus(delay) if delay else Now(),
        published_at=None,
        lease_expires_at=None,
        **columns,
    )


def schedule_retry(job: Job, error: str) -> None:
    """Let the job wait for its next attempt, or end it as failed if this was the last one.

    The delay is random. Its limit doubles from 5 seconds after the first attempt to 10 minutes after the ninth,
    so jobs that failed together do not all run again at the same moment.
    """
    delay = 1 + get_exponential_backoff_interval(2, job.counted_attempts, MAX_RETRY_DELAY, full_jitter=True)
    _end_attempt(_held_by(job), error, delay, failed=LAST_ATTEMPT)
    notify_dispatcher()  # otherwise it may sleep for longer than the delay


def release(job: Job) -> None:
    """Let another worker run the job at once, because this worker is being stopped. This uses up no attempt."""
    never = Q(pk__in=[])
    _end_attempt(_held_by(job), "its worker was stopped", 0, failed=never, interruptions=F("interruptions") + 1)
    notify_dispatcher()


def cancel(job: Job) -> Job:
    """Cancel a waiting job for certain, or ask a running job to stop. A finished job stays as it is.

    Returns:
        The job as it is now in the database.
    """
    waiting = Q(status=Job.Status.WAITING)
    Job.objects.filter(waiting | Q(status=Job.Status.RUNNING), pk=job.pk).update(
        status=Case(When(waiting, then=Value(Job.Status.CANCELLED)), default=F("status")),
        finished_at=Case(When(waiting, then=Now())),
        cancel_requested=True,
    )
    return Job.objects.get(pk=job.pk)


def retry(job: Job) -> bool:
    """Let a failed or cancelled job run again, with as many further attempts as a new job has.

    Returns:
        Whether the job had failed or been cancelled.

    Raises:
        UnknownKind: No function decorated with @job has the name of the job's kind.
    """
    spec = registry.get(job.kind)
    retried = Job.objects.filter(pk=job.pk, status__in=[Job.Status.FAILED, Job.Status.CANCELLED]).update(
        status=Job.Status.WAITING,
        max_attempts=F("attempts") - F("interruptions") + spec.max_attempts,
        cancel_requested=False,
        run_after=Now(),
        published_at=None,
        finished_at=None,
    )
    notify_dispatcher()
    return bool(retried)


def recover_from_lost_process(task_id: str) -> None:
    """Let other workers run the job of a Celery task at once, because the task's process was killed."""
    if _recover(Job.objects.filter(status=Job.Status.RUNNING, task_id=task_id), "its process died"):
        notify_dispatcher()


def recover_expired_leases() -> int:
    """Take jobs back from workers that are dead or hang, so that other workers can run them.

    Returns:
        How many leases had expired.
    """
    expired = Job.objects.filter(status=Job.Status.RUNNING, lease_expires_at__lt=Now())
    return _recover(expired, f"its worker died, or hung for more than {settings.JOBS_LEASE_SECONDS} seconds")


def _recover(rows: QuerySet[Job], reason: str) -> int:
    """Let jobs without a worker wait again, or end them as failed if this was their last attempt. Return how many."""
    error = Case(When(LAST_ATTEMPT, then=Value(f"{reason}, at the last attempt")), default=Value(reason))
    recovered = _end_attempt(rows, error, 0, failed=LAST_ATTEMPT)
    if recovered:
        logger.warning("%d jobs had lost their worker: they wait again, or have failed or been cancelled", recovered)
    return recovered
