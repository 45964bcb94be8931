"""The kinds of jobs: every function decorated with @job. An app keeps its kinds in its `jobs.py`."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django import forms

from jobs.exceptions import UnknownKind
from ops.lost_connection import is_lost_connection, is_rolled_back_by_conflict

# The arguments of submit() itself, including some that it does not have yet.
RESERVED_ARGUMENTS = {"kind", "owner", "idempotency_key", "run_after", "priority", "concurrency_key"}

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Kind:
    """A function together with the options that @job received."""

    name: str
    function: Callable[..., Any]
    form: type[forms.Form] | None
    queue: str
    max_attempts: int
    time_limit: int | None
    retry_on: tuple[type[Exception], ...]
    atomic: bool

    @property
    def soft_time_limit(self) -> int | None:
        """Seconds until the function gets SoftTimeLimitExceeded, or None if CELERY_TASK_SOFT_TIME_LIMIT applies."""
        return self.time_limit and round(self.time_limit * 0.9)

    @property
    def description(self) -> str:
        """The first line of the function's docstring, or the name of the kind if it has no docstring."""
        return (inspect.getdoc(self.function) or self.name).splitlines()[0]

    def validate(self, arguments: dict[str, Any]) -> None:
        """Raise TypeError if the function cannot be called with `arguments`."""
        inspect.signature(self.function).bind(**arguments)

    def may_pass(self, error: BaseException) -> bool:
        """Return whether another attempt may succeed after this error of the function.

        That is an error in `retry_on`, a lost connection, or a conflict with another transaction if PostgreSQL has
        rolled back all that the function wrote.
        """
        conflict = self.atomic and is_rolled_back_by_conflict(error)
        return isinstance(error, self.retry_on) or is_lost_connection(error) or conflict


_kinds: dict[str, Kind] = {}


def job(
    *,
    form: type[forms.Form] | None = None,
    queue: str = "",
    max_attempts: int = 5,
    time_limit: int | None = None,
    retry_on: tuple[type[Exception], ...] = (),
    atomic: bool = True,
) -> Callable[[Function], Function]:
    """Register the decorated function as a kind of job, under the function's name.

    The function receives the submitted arguments as keyword arguments. Its return value must be JSON and becomes the
    job's result. The function may run more than once, because a job is started again after its worker has died.

    Args:
        form: Validates what people submit. The function receives the values of its fields as JSON, as docs/jobs.md
            says. A kind without a form can only be submitted by code.
        queue: One of CELERY_TASK_QUEUES. The default queue if empty.
        max_attempts: How often the job is started at most. Errors in `retry_on` and workers that die use up attempts.
            Workers that are stopped, for example by a deploy, use up none: the job runs again as often as it takes.
        time_limit: Seconds until the worker process is killed. After nine tenths of that time the function gets
            SoftTimeLimitExceeded. If None, CELERY_TASK_TIME_LIMIT and CELERY_TASK_SOFT_TIME_LIMIT apply.
        retry_on: Errors that are likely to pass. The job is retried with a growing delay: seconds at first, minutes
            later. A lost connection to the database or the cache is always retried, and so is a deadlock or a
            serialization failure if the kind is atomic. Every other error ends the job as failed.
        atomic: Whether the function's database writes and the job's success are one transaction, so that either both
            are committed, exactly once, or neither is. Pass False for a long job that does not write to the
            database. With SQLite, an open transaction blocks all other writers, even if it only reads.

    Raises:
        TypeError: The function has an argument that is reserved for submit().
        ValueError: A function of another module has the same name.
    """

    def register(function: Function) -> Function:
        name = function.__name__
        reserved = RESERVED_ARGUMENTS & set(inspect.signature(function).parameters)
        if reserved:
            raise TypeError(f"job {name}: {', '.join(sorted(reserved))} can't be an argument, submit() takes it")
        if name in _kinds and _kinds[name].function.__module__ != function.__module__:
            raise ValueError(f"job {name}: {_kinds[name].function.__module__} has a job of the same name")
        _kinds[name] = Kind(name, function, form, queue, max_attempts, time_limit, tuple(retry_on), atomic)
        return function

    return register


def get(name: str) -> Kind:
    """Return the kind with this name. Raises UnknownKind."""
    try:
        return _kinds[name]
    except KeyError:
        raise UnknownKind(f"no job is called {name!r}: there are {', '.join(sorted(_kinds))}") from None


def all_kinds() -> list[Kind]:
    """Return all kinds, sorted by name."""
    return [_kinds[name] for name in sorted(_kinds)]


def submittable_kinds() -> list[Kind]:
    """Return the kinds that people may submit, which are those with a form, sorted by name."""
    return [kind for kind in all_kinds() if kind.form]
