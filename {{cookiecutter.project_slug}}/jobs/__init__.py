"""A job engine: each job is a row in the database, so it is not lost before its work is done.

In `jobs.py` of any app:

    @job(max_attempts=3, retry_on=(ConnectionError,))
    def greet(name): ...

and in a view, inside its transaction:

    submit("greet", name="Ada", owner=request.user)

Inside a job, `progress` reports how far the job is and `output` writes a file for the owner to download.
"""

from typing import TYPE_CHECKING, Any

from jobs.attempt import output, progress
from jobs.registry import job

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from django.contrib.auth.base_user import AbstractBaseUser

    from jobs.models import Job

__all__ = ["job", "output", "progress", "submit"]


def submit(
    kind: str,
    /,
    *,
    owner: "AbstractBaseUser | None" = None,
    idempotency_key: str = "",
    run_after: "datetime | timedelta | None" = None,
    **arguments: Any,
) -> "Job":
    """Submit a job in the caller's transaction. See `jobs.submission.submit`, which this function calls."""
    # Django imports this package while it loads the apps, and models can be imported only when that has ended.
    from jobs import submission

    return submission.submit(kind, owner=owner, idempotency_key=idempotency_key, run_after=run_after, **arguments)
