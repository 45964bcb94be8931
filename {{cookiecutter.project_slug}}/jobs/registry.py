"""Which kinds of jobs there are: every function with @job. An app keeps them in its kinds.py."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from django import forms
from django.db import InterfaceError, OperationalError

RESERVED = {"kind", "owner", "key"}


class UnknownKind(LookupError):
    """No function with @job has this name."""


@dataclass(frozen=True)
class Kind:
    """A function and how to run it: what @job was told."""

    name: str
    function: Callable
    form: type[forms.Form] | None
    queue: str
    max_attempts: int
    time_limit: int | None
    retry_on: tuple[type[Exception], ...]
    atomic: bool

    @property
    def soft_time_limit(self) -> int | None:
        """Seconds until the function gets SoftTimeLimitExceeded; None: CELERY_TASK_SOFT_TIME_LIMIT."""
        return self.time_limit and round(self.time_limit * 0.9)

    @property
    def description(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or self.name).splitlines()[0]

    def check(self, arguments: dict) -> None:
        """Raise TypeError if the function can't be called with `arguments`."""
        inspect.signature(self.function).bind(**arguments)


_kinds: dict[str, Kind] = {}


def job(
    *,
    form: type[forms.Form] | None = None,
    queue: str = "",
    max_attempts: int = 5,
    time_limit: int | None = None,
    retry_on: tuple[type[Exception], ...] = (),
    atomic: bool = True,
):
    """Make a function a kind of job, under its own name. It gets the arguments that were submitted, as keywords, and
    what it returns (JSON) is the job's result.

    form: checks what people send. Its cleaned values are JSON, or files. Without one, only code can submit this kind.
    queue: one of CELERY_TASK_QUEUES; the default queue if none is named.
    max_attempts: how often it is started at most, after errors of `retry_on`, and workers that died or were stopped.
    time_limit: seconds until it is killed; at nine tenths of them it gets SoftTimeLimitExceeded. Celery's if None.
    retry_on: errors that may pass. It is tried again, each time later: seconds, then minutes. A lost database is always
        among them; any other error ends the job as failed.
    atomic: what it writes to the database and its "succeeded" are one transaction: both are there, once, or neither.
        False for a long job that writes nothing there: SQLite would keep everybody else from writing all that time.

    Raises TypeError if the function takes an argument that submit() takes itself, ValueError if its name is taken.
    """

    def register(function: Callable) -> Callable:
        name = function.__name__
        taken = RESERVED & set(inspect.signature(function).parameters)
        if taken:
            raise TypeError(f"job {name}: {', '.join(sorted(taken))} can't be an argument, submit() takes it")
        if name in _kinds and _kinds[name].function.__module__ != function.__module__:
            raise ValueError(f"job {name}: {_kinds[name].function.__module__} has one of this name")
        lost_database = (OperationalError, InterfaceError)
        _kinds[name] = Kind(name, function, form, queue, max_attempts, time_limit, (*retry_on, *lost_database), atomic)
        return function

    return register


def get(name: str) -> Kind:
    """Return the kind of this name. Raises UnknownKind."""
    try:
        return _kinds[name]
    except KeyError:
        raise UnknownKind(f"no job is called {name!r}: there are {', '.join(sorted(_kinds))}") from None


def every() -> list[Kind]:
    """Return all kinds, by name."""
    return [_kinds[name] for name in sorted(_kinds)]


def offered() -> list[Kind]:
    """Return the kinds that people may submit: those with a form."""
    return [kind for kind in every() if kind.form]
