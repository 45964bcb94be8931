"""The base class of every task when the broker is Redis."""

from datetime import datetime
from typing import Any

from celery.utils.time import maybe_iso8601, maybe_make_aware
from django.conf import settings

from ops.celery import task
from ops.celery.redis import dead_letters


class TooFarAhead(ValueError):
    """The countdown of a task is longer than MAX_COUNTDOWN."""


class Task(task.Task):
    """Task that counts how often its message is delivered again, and that cannot wait too long for its start."""

    unsendable = (*task.Task.unsendable, TooFarAhead)
    Request = "ops.celery.redis.dead_letters:Request"

    def run_in_worker(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task, unless its message has been delivered too often: then raise Reject."""
        dead_letters.count_redelivery(self.request)
        return super().run_in_worker(*args, **kwargs)

    def apply_async(
        self,
        args: Any = None,
        kwargs: Any = None,
        *,
        countdown: float | None = None,
        eta: datetime | str | None = None,
        **options: Any,
    ) -> Any:
        """Send the task as Celery does.

        Raises TooFarAhead, a ValueError, if the countdown, or the time until `eta`, is longer than MAX_COUNTDOWN
        seconds (less if the task may run longer than others). Redis would deliver the message again while it waits in a
        worker or while the task runs.
        """
        delay = countdown or 0
        if eta is not None:
            delay = (maybe_make_aware(maybe_iso8601(eta)) - self.app.now()).total_seconds()
        limit = options.get("time_limit") or self.time_limit or 0
        longest = settings.MAX_COUNTDOWN - max(0, limit - settings.CELERY_TASK_TIME_LIMIT)
        if delay > longest:
            raise TooFarAhead(
                f"{self.name} can't wait {delay:.0f} s: at most {longest} s are possible. "
                "The comment at MAX_COUNTDOWN in config/settings/celery.py says what to do"
            )
        return super().apply_async(args, kwargs, countdown=countdown, eta=eta, **options)
