"""System checks: refuse to start with times or connection counts that do not fit together, or with misspelt tasks.

The times and the schedule are set in config/settings/celery.py, the counts in config/settings/capacity.py.
"""

from difflib import get_close_matches
from importlib import import_module
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.db import connection
from django.utils.module_loading import autodiscover_modules


@register
def check_stop_grace(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A stopping worker needs time to finish its tasks, and more time to hand back the rest before it is killed."""
    if settings.DRAIN_SECONDS >= 10:
        return []
    message = f"STOP_GRACE_SECONDS={settings.STOP_GRACE_SECONDS} is too short"
    return [Error(message, hint="Set STOP_GRACE_SECONDS to 30 or more.", id="ops.E001")]


@register
def check_time_limits(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The broker must not deliver a message a second time while its task is still running."""
    longest = settings.MAX_TASK_TIME_LIMIT
    hint = f"The limit must be below MAX_TASK_TIME_LIMIT, which is {longest:g} seconds (config/settings/celery.py)."
    autodiscover_modules("tasks")
    limits = {task.name: task.time_limit or settings.CELERY_TASK_TIME_LIMIT for task in current_app.tasks.values()}
    return [
        Error(f"task {name}: a time limit of {limit} seconds is too long", hint=hint, id="ops.E002")
        for name, limit in limits.items()
        if limit >= longest
    ]


@register
def check_schedule(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Each entry of the schedule must name a task that exists.

    Otherwise messages would be sent that no worker can process.
    """
    autodiscover_modules("tasks")
    for module in (*current_app.conf.imports, *current_app.conf.include):
        import_module(module)
    errors: list[CheckMessage] = []
    for entry, fields in getattr(settings, "CELERY_BEAT_SCHEDULE", {}).items():
        name = fields.get("task")
        if name not in current_app.tasks:
            message = f"CELERY_BEAT_SCHEDULE: {entry}: there is no task {name}"
            similar = ", ".join(get_close_matches(str(name), current_app.tasks))
            hint = f"Similar names: {similar}" if similar else "Correct the name, or remove the entry."
            errors.append(Error(message, hint=hint, id="ops.E004"))
    return errors


@register
def check_connections(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """PostgreSQL must allow all the connections that the services may open at the same time.

    When connections run out, an arbitrary process gets an error.
    """
    if connection.vendor != "postgresql":
        return []
    needed = sum(settings.POSTGRES_CONNECTIONS.values())
    available = settings.POSTGRES_MAX_CONNECTIONS - settings.SUPERUSER_RESERVED_CONNECTIONS
    if needed <= available:
        return []
    services = ", ".join(f"{service} {count}" for service, count in settings.POSTGRES_CONNECTIONS.items())
    message = f"{needed} connections to PostgreSQL may be needed but only {available} are available: {services}"
    hint = "Raise POSTGRES_MAX_CONNECTIONS, or lower WEB_CPUS, WORKER_REPLICAS or WORKER_CONCURRENCY."
    return [Error(message, hint=hint, id="ops.E003")]
