"""System checks, which `manage.py check` runs."""

from typing import Any

from django.conf import settings
from django.core.checks import Error, register

from jobs import registry


@register
def check_queues(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Report each kind whose queue no worker reads. Its jobs would wait forever."""
    known = {queue.name for queue in settings.CELERY_TASK_QUEUES}
    return [
        Error(
            f"job {kind.name}: no queue is called {kind.queue!r}",
            hint=f"The queues in CELERY_TASK_QUEUES are {', '.join(sorted(known))}.",
            id="jobs.E001",
        )
        for kind in registry.all_kinds()
        if kind.queue not in {"", *known}
    ]


@register
def check_lease(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Report a lease that is longer than the time limit: a dead worker's job would wait longer than a job may run."""
    if settings.JOBS_LEASE_SECONDS < settings.CELERY_TASK_TIME_LIMIT:
        return []
    hint = f"It must be less than CELERY_TASK_TIME_LIMIT, which is {settings.CELERY_TASK_TIME_LIMIT}."
    return [Error(f"JOBS_LEASE_SECONDS={settings.JOBS_LEASE_SECONDS} is too long", hint=hint, id="jobs.E002")]


@register
def check_time_limits(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Report each kind that may run longer than the broker waits: its message would be delivered again meanwhile."""
    longest = settings.MAX_TASK_TIME_LIMIT
    return [
        Error(
            f"job {kind.name}: a time limit of {kind.time_limit} seconds is too long",
            hint=f"The limit must be below the setting MAX_TASK_TIME_LIMIT, which is {longest:g} seconds.",
            id="jobs.E003",
        )
        for kind in registry.all_kinds()
        if kind.time_limit and kind.time_limit >= longest
    ]
