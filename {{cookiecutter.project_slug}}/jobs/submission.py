"""Submitting a job: the row is written in the caller's transaction, and the broker is not involved."""

from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.files import File
from django.core.files.storage import default_storage
from django.db.models.functions import Now
from django.utils import timezone

from jobs import registry
from jobs.arguments import to_json
from jobs.exceptions import IdempotencyConflict
from jobs.models import Job
from jobs.notifications import notify_dispatcher
from jobs.statements import Insert, column
from ops.request_id import REQUEST_ID

_SUBMITTED = ["id", "kind", "arguments", "queue", "max_attempts", "request_id"]  # columns that submit() writes
# The usual job, which starts as soon as possible and has no idempotency key.
_INSERT = Insert(lambda: Job(owner_id=column("owner"), **{name: column(name) for name in _SUBMITTED}))


def submit(
    kind: str,
    /,
    *,
    owner: AbstractBaseUser | None = None,
    idempotency_key: str = "",
    run_after: datetime | timedelta | None = None,
    **arguments: Any,
) -> Job:
    """Write a job to the database in the caller's transaction, and return its row.

    This never talks to the broker. The dispatcher (`manage.py dispatch_jobs`) publishes the job as soon as the
    transaction is committed, and a transaction that is rolled back leaves no job.

    Args:
        kind: The name of a function decorated with @job.
        owner: The user who may see the job. Only the admin shows a job without an owner.
        idempotency_key: Submitting the same key for the same owner again returns the existing job instead of creating a
            second one, even if the first one has finished. Files and `run_after` are not compared.
        run_after: The earliest start: a datetime with a time zone, or a timedelta from now. None: as soon as possible.
        **arguments: The keyword arguments for the function: JSON values, files, and what the fields of forms return,
            for example dates and models. The function receives a file as its name in the default storage, and the
            others as JSON, as docs/jobs.md says.

    Returns:
        The new job, or the job that already has this idempotency key.

    Raises:
        UnknownKind: No function decorated with @job has this name.
        TypeError: The arguments do not fit the function, or one can't be kept as JSON. Or `run_after` is neither a
            datetime nor a timedelta.
        ValueError: An argument is a number or a model that can't be kept as JSON: infinite, NaN, or not saved. Or
            `owner` is not saved, or `run_after` is a datetime without a time zone.
        IdempotencyConflict: The idempotency key belongs to a job of another kind or with other arguments.
    """
    spec = registry.get(kind)
    spec.validate(arguments)
    _validate_run_after(run_after)
    if owner and owner.pk is None:
        raise ValueError("owner is not saved in the database")
    arguments = {name: _encoded(kind, name, value) for name, value in arguments.items()}
    job = Job(
        kind=kind,
        owner=owner,  # type: ignore[misc]  # the project's user model, which jobs/ does not know
        idempotency_key=idempotency_key,
        queue=spec.queue,
        max_attempts=spec.max_attempts,
        request_id=REQUEST_ID.get(),
    )
    if run_after is None and not idempotency_key:
        job.arguments = _store_files(job, arguments)
        return _INSERT(**{name: getattr(job, name) for name in _SUBMITTED}, owner=job.owner_id)
    if isinstance(run_after, timedelta):
        job.run_after = Now() + run_after  # by the clock of the database
    elif run_after:
        job.run_after = run_after
    if idempotency_key:
        job = _get_or_create(job, arguments)
    else:
        job.arguments = _store_files(job, arguments)
        job.save(force_insert=True)
    if isinstance(run_after, timedelta):
        job.refresh_from_db(fields=["run_after"])
    notify_dispatcher()
    return job


def _validate_run_after(run_after: Any) -> None:
    """Raise TypeError or ValueError if this is no moment or delay, as described in submit()."""
    if run_after is not None and not isinstance(run_after, datetime | timedelta):
        raise TypeError(f"run_after must be a datetime or a timedelta, not {run_after!r}")
    if isinstance(run_after, datetime) and timezone.is_naive(run_after):
        raise ValueError(f"run_after={run_after} has no time zone: use django.utils.timezone.now()")


def _get_or_create(job: Job, arguments: dict[str, Any]) -> Job:
    """Return the job that has the idempotency key of the new `job`. Save `job` if there is none."""
    key = {"owner": job.owner, "idempotency_key": job.idempotency_key}
    existing = Job.objects.filter(**key).first()
    if not existing:
        job.arguments = _store_files(job, arguments)
        columns = {name: getattr(job, name) for name in [*_SUBMITTED, "run_after"]}
        existing, _ = Job.objects.get_or_create(**key, defaults=columns)
    values = _without_files(arguments)
    files = arguments.keys() - values.keys()
    theirs = {name: value for name, value in existing.arguments.items() if name not in files}
    if existing.kind != job.kind or values != theirs:
        raise IdempotencyConflict(f"idempotency key {job.idempotency_key!r} belongs to another job, {existing}")
    return existing


def _encoded(kind: str, name: str, value: Any) -> Any:
    """Return the value as JSON, or unchanged if it is a file."""
    if isinstance(value, File):
        return value
    try:
        return to_json(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"job {kind}: argument {name} can't be kept as JSON: {error}") from None


def _without_files(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if not isinstance(value, File)}


def _store_files(job: Job, arguments: dict[str, Any]) -> dict[str, Any]:
    """Save each file to the default storage. Return the arguments with the name of each saved file in its place."""
    stored = _without_files(arguments)
    for name in arguments.keys() - stored.keys():
        suffix = PurePath(arguments[name].name or "").suffix.lower()
        stored[name] = default_storage.save(f"jobs/{job.pk}/{name}{suffix}", arguments[name])
    return stored
