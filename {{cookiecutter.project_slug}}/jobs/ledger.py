"""Every step of a job from one status to the next, each a single conditional UPDATE.

    waiting → running               claim: by one worker, whoever is first
    running → succeeded, failed     succeed, fail: only by the attempt that has the claim
    running → waiting               put_off (it may be tried again), expire (its worker is gone)
    waiting, running → cancelled    cancel: at once, or as soon as the function says how far it is

`attempts` counts the claims and is the fencing token: a worker that was thought dead and comes back writes nothing,
because its number is not the row's any more. All times are the database's: the clocks of machines differ.
"""

import logging
from datetime import timedelta
from pathlib import PurePath

from celery.utils.time import get_exponential_backoff_interval
from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from jobs import registry
from jobs.models import Job
from jobs.run import ClaimLost
from ops.logs import REQUEST_ID

logger = logging.getLogger(__name__)

CHANNEL = "jobs"  # PostgreSQL's NOTIFY, which wakes the sweep
LONGEST_PAUSE = 600  # seconds between two attempts


class KeyTaken(ValueError):
    """The key belongs to a job of another kind or with other arguments."""


def after(seconds: float):
    """Return the moment `seconds` from now, by the database's clock."""
    return Now() + timedelta(seconds=seconds)


def wake_sweep() -> None:
    """Tell the sweep that there is something to publish; it hears it when the caller's transaction is committed.
    Price: PostgreSQL commits transactions that notify one after the other. SQLite has no such thing: the sweep looks
    often. https://www.postgresql.org/docs/current/sql-notify.html
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


def submit(kind: str, *, owner, key: str, arguments: dict) -> Job:
    """Write a job down: jobs.submit() says how."""
    spec = registry.get(kind)
    spec.check(arguments)
    job = Job(kind=kind, owner=owner, key=key, queue=spec.queue, max_attempts=spec.max_attempts)
    job.request_id = REQUEST_ID.get()
    if not key:
        job.arguments = _with_files_stored(job, arguments)
        job.save(force_insert=True)
    else:
        known = Job.objects.filter(owner=owner, key=key).first()
        if not known:
            job.arguments = _with_files_stored(job, arguments)
            values = ["id", "kind", "arguments", "queue", "max_attempts", "request_id"]
            defaults = {name: getattr(job, name) for name in values}
            known, _ = Job.objects.get_or_create(owner=owner, key=key, defaults=defaults)
        plain = _plain(arguments)
        if known.kind != kind or plain != {name: known.arguments.get(name) for name in plain}:
            raise KeyTaken(f"key {key!r} belongs to another job, {known}")
        job = known
    wake_sweep()
    return job


def _plain(arguments: dict) -> dict:
    return {name: value for name, value in arguments.items() if not isinstance(value, File)}


def _with_files_stored(job: Job, arguments: dict) -> dict:
    """Return the arguments with each file saved, and its name in the storage instead of it."""
    stored = _plain(arguments)
    for name in arguments.keys() - stored.keys():
        suffix = PurePath(arguments[name].name or "").suffix.lower()
        stored[name] = default_storage.save(f"jobs/{job.pk}/{name}{suffix}", arguments[name])
    return stored


def claim(job_id) -> Job | None:
    """Return the job, running, if this caller is the one who may work on it; None if it is another's, done, cancelled,
    or not due.
    """
    with transaction.atomic():
        claimed = Job.objects.filter(pk=job_id, status=Job.Status.WAITING, due_at__lte=Now()).update(
            status=Job.Status.RUNNING,
            attempts=F("attempts") + 1,
            started_at=Now(),
            lease_until=after(settings.JOBS_LEASE_SECONDS),
            done=0,
            total=0,
            note="",
        )
        # In the same transaction, so that `attempts` is this claim's and no later one's.
        return Job.objects.get(pk=job_id) if claimed else None


def _mine(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(pk=job.pk, status=Job.Status.RUNNING, attempts=job.attempts)


def renew(job: Job, done: int, total: int, note: str) -> bool:
    """Keep the claim for another lease and write how far the job is. Returns whether it was asked to stop. Raises
    ClaimLost.
    """
    lease = after(settings.JOBS_LEASE_SECONDS)
    if not _mine(job).update(lease_until=lease, done=done, total=total, note=note):
        raise ClaimLost(f"job {job}: attempt {job.attempts} has lost its claim")
    return Job.objects.values_list("cancel_requested", flat=True).get(pk=job.pk)


def succeed(job: Job, result, output: str, progress: tuple[int, int, str]) -> None:
    """Write the result (JSON). Raises ClaimLost; in a transaction that takes back what the attempt wrote."""
    done, total, note = progress
    if not _mine(job).update(
        status=Job.Status.SUCCEEDED,
        result=result,
        output=output,
        error="",
        done=done,
        total=total,
        note=note,
        lease_until=None,
        finished_at=Now(),
    ):
        raise ClaimLost(f"job {job}: attempt {job.attempts} has lost its claim")


def fail(job: Job, error: str) -> None:
    """End the job as failed."""
    _mine(job).update(status=Job.Status.FAILED, error=error, lease_until=None, finished_at=Now())


def stopped(job: Job) -> None:
    """End a running job as cancelled: its function has stopped."""
    _mine(job).update(status=Job.Status.CANCELLED, lease_until=None, finished_at=Now())


def _wait_again(rows: QuerySet[Job], error: str, pause: float) -> int:
    """Let running jobs wait for another attempt, or end them as cancelled if they were asked to stop. One UPDATE, so
    that a request to stop is not lost in between. Returns how many there were.
    """
    asked_to_stop = Q(cancel_requested=True)
    return rows.update(
        status=Case(When(asked_to_stop, then=Value(Job.Status.CANCELLED)), default=Value(Job.Status.WAITING)),
        finished_at=Case(When(asked_to_stop, then=Now())),
        error=error,
        due_at=after(pause) if pause else Now(),  # SQLite's texts for a moment and for the moment after 0 s differ
        published_at=None,
        lease_until=None,
    )


def put_off(job: Job, error: str) -> None:
    """Let the job wait for its next attempt: seconds after the first, minutes after the fifth, and not all jobs for the
    same time. The last attempt ends it as failed.
    """
    if job.attempts >= job.max_attempts:
        fail(job, error)
        return
    pause = 1 + get_exponential_backoff_interval(2, job.attempts, LONGEST_PAUSE, full_jitter=True)
    _wait_again(_mine(job), error, pause)


def give_back(job: Job) -> None:
    """Let another worker have the job at once: this one is being stopped."""
    _wait_again(_mine(job), "its worker was stopped", 0)
    wake_sweep()


def cancel(job: Job) -> Job:
    """Cancel a waiting job, which is certain, or ask a running one to stop; a finished one stays. Returns it afresh."""
    waiting = Q(status=Job.Status.WAITING)
    Job.objects.filter(waiting | Q(status=Job.Status.RUNNING), pk=job.pk).update(
        status=Case(When(waiting, then=Value(Job.Status.CANCELLED)), default=F("status")),
        finished_at=Case(When(waiting, then=Now())),
        cancel_requested=True,
    )
    return Job.objects.get(pk=job.pk)


def retry(job: Job) -> bool:
    """Give a failed or cancelled job as many attempts as a new one has. Returns whether it was one."""
    spec = registry.get(job.kind)
    again = Job.objects.filter(pk=job.pk, status__in=[Job.Status.FAILED, Job.Status.CANCELLED]).update(
        status=Job.Status.WAITING,
        max_attempts=F("attempts") + spec.max_attempts,
        cancel_requested=False,
        due_at=Now(),
        published_at=None,
        finished_at=None,
    )
    wake_sweep()
    return bool(again)


def expire() -> int:
    """Take the jobs whose lease is over from workers that are gone: to be worked on again, or ended if that was their
    last attempt. Returns how many.
    """
    over = Job.objects.filter(status=Job.Status.RUNNING, lease_until__lt=Now())
    reason = f"its worker died, or hung for more than {settings.JOBS_LEASE_SECONDS} seconds"
    failed = over.filter(attempts__gte=F("max_attempts"), cancel_requested=False).update(
        status=Job.Status.FAILED, error=f"{reason}, at the last attempt", lease_until=None, finished_at=Now()
    )
    again = _wait_again(over, reason, 0)
    if failed or again:
        logger.warning("%d jobs had lost their worker: %d wait again, %d failed", failed + again, again, failed)
    return failed + again
