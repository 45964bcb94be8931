from django.conf import settings
from django.core.checks import Error, register

from jobs import registry


@register
def queues_of_kinds(app_configs, **kwargs):
    """A job of a misspelt queue would wait for ever."""
    known = {queue.name for queue in settings.CELERY_TASK_QUEUES}
    return [
        Error(
            f"job {kind.name}: no queue is called {kind.queue!r}",
            hint=f"The queues in CELERY_TASK_QUEUES are {', '.join(sorted(known))}.",
            id="jobs.E001",
        )
        for kind in registry.every()
        if kind.queue not in {"", *known}
    ]


@register
def lease(app_configs, **kwargs):
    """A dead worker's job must not wait for longer than the longest that a living one may take."""
    if settings.JOBS_LEASE_SECONDS < settings.CELERY_TASK_TIME_LIMIT:
        return []
    hint = f"Take less than CELERY_TASK_TIME_LIMIT, which is {settings.CELERY_TASK_TIME_LIMIT}."
    return [Error(f"JOBS_LEASE_SECONDS={settings.JOBS_LEASE_SECONDS} is too long", hint=hint, id="jobs.E002")]
