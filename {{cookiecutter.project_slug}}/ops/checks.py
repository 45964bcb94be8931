"""System checks: `manage.py check` and `migrate` refuse times or connection counts that don't fit together, misspelt
tasks, and queues that no worker consumes.

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
def check_queues(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Each queue needs a worker that takes its messages, and each task needs a queue that exists."""
    hint = "Add it to the queues of one of WORKER_POOLS (config/settings/capacity.py), and to the worker's --queues."
    errors: list[CheckMessage] = [
        Error(f"no worker consumes the queue {queue.name!r}", hint=hint, id="ops.E005")
        for queue in settings.CELERY_TASK_QUEUES
        if not any(pool.consumes(queue.name) for pool in settings.WORKER_POOLS.values())
    ]
    hint = f"The queues in CELERY_TASK_QUEUES are {', '.join(queue.name for queue in settings.CELERY_TASK_QUEUES)}."
    errors += [
        Error(f"task {task.name}: no queue is called {task.queue!r}", hint=hint, id="ops.E006")
        for task in all_tasks()
        if not queue_exists(getattr(task, "queue", None))
    ]
    return errors


@register
def check_threads(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Nothing can end a thread, so a task that runs in one must not count on a time limit."""
    return [
        limit_in_thread(f"task {task.name}", "ops.E007")
        for task in all_tasks()
        if has_threads(getattr(task, "queue", None)) and has_limit(task)
    ]


def limit_in_thread(what: str, check_id: str) -> Error:
    """Return the error for a function (`what`) that has a time limit although it runs in a thread."""
    hint = "Leave out the limit and let the function give up by itself, or use a queue whose workers have processes."
    message = f"{what}: its queue belongs to workers with threads, which have no time limits"
    return Error(message, hint=hint, id=check_id)


def has_limit(task: Any) -> bool:
    """Tell whether the task has a time limit of its own. A task without one has the limits of the settings."""
    of_the_settings = {None, settings.CELERY_TASK_TIME_LIMIT, settings.CELERY_TASK_SOFT_TIME_LIMIT}
    return not {task.time_limit, task.soft_time_limit} <= of_the_settings


def all_tasks() -> list[Any]:
    """Return the tasks of all apps."""
    autodiscover_modules("tasks")
    return list(current_app.tasks.values())


def queue_exists(name: str | None) -> bool:
    """Tell whether CELERY_TASK_QUEUES has a queue with this name. No name means the default queue."""
    return not name or any(name in {queue.name, getattr(queue, "alias", None)} for queue in settings.CELERY_TASK_QUEUES)


def has_threads(queue: str | None) -> bool:
    """Tell whether any of the workers of the queue with this name has threads. No name means the default queue."""
    name = queue or current_app.conf.task_default_queue
    return any(pool.has_threads and pool.consumes(name) for pool in settings.WORKER_POOLS.values())


@register
def check_time_limits(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The broker must not deliver a message a second time while its task is still running."""
    longest = settings.MAX_TASK_TIME_LIMIT
    hint = f"The limit must be below MAX_TASK_TIME_LIMIT, which is {longest:g} seconds (config/settings/celery.py)."
    limits = {task.name: task.time_limit or settings.CELERY_TASK_TIME_LIMIT for task in all_tasks()}
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
    hint = "In .env, raise POSTGRES_MAX_CONNECTIONS, or lower WEB_CPUS, or the CONCURRENCY or REPLICAS of a worker."
    return [Error(message, hint=hint, id="ops.E003")]
