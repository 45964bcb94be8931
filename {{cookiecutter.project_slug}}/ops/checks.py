"""Refuses to start with numbers that don't fit together: those of times stand in config/settings/celery.py, those of
processes in config/settings/base.py.
"""

from celery import current_app
from django.conf import settings
from django.core.checks import Error, register
from django.db import connection
from django.utils.module_loading import autodiscover_modules

# PostgreSQL keeps these for its superuser (superuser_reserved_connections).
RESERVED = 3


@register
def stop_grace(app_configs, **kwargs):
    """A worker must have time to end its tasks before it gives them back, and time for that before it is killed."""
    if settings.DRAIN_SECONDS >= 10:
        return []
    message = f"STOP_GRACE_SECONDS={settings.STOP_GRACE_SECONDS} is too short"
    return [Error(message, hint="Take 30 or more.", id="ops.E001")]


@register
def time_limits(app_configs, **kwargs):
    """A message must not be handed out again while its task still runs."""
{% if cookiecutter.broker == "redis" %}
    longest = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("visibility_timeout", float("inf")) / 2
    hint = f"visibility_timeout must be more than twice as long: at most {longest:g} seconds are possible now."
{% else %}
    longest = min(queue.queue_arguments["x-consumer-timeout"] / 1000 for queue in settings.CELERY_TASK_QUEUES)
    hint = f"x-consumer-timeout must be longer: less than {longest:g} seconds are possible now."
{% endif %}
    autodiscover_modules("tasks")
    limits = {task.name: task.time_limit or settings.CELERY_TASK_TIME_LIMIT for task in current_app.tasks.values()}
    return [
        Error(f"task {name}: a time limit of {limit} seconds is too long", hint=hint, id="ops.E002")
        for name, limit in limits.items()
        if limit >= longest
    ]


@register
def connections(app_configs, **kwargs):
    """PostgreSQL must have a connection for everybody who may ask for one: who finds none gets an error."""
    if connection.vendor != "postgresql":
        return []
    shares, there = connection_shares(), settings.POSTGRES_MAX_CONNECTIONS - RESERVED
    if sum(shares.values()) <= there:
        return []
    named = ", ".join(f"{name} {share}" for name, share in shares.items())
    message = f"{sum(shares.values())} connections to PostgreSQL may be needed and there are {there}: {named}"
    hint = "Raise POSTGRES_MAX_CONNECTIONS, or lower WEB_CPUS, WORKER_REPLICAS or WORKER_CONCURRENCY."
    return [Error(message, hint=hint, id="ops.E003")]


def connection_shares() -> dict[str, int]:
    """Return how many connections to PostgreSQL each service may hold at the same time."""
    web = settings.WEB_PROCESSES * settings.WEB_THREADS
    # A process of the pool has one for its task, and one for the lease of its job (jobs/run.py). The main process may
    # write how a task ended.
    worker = settings.WORKER_REPLICAS * (2 * settings.WORKER_CONCURRENCY + 1)
    return {
        # Twice: in a deploy the old ones end their work while the new ones begin.
        "web": 2 * web,
        "worker": 2 * worker,
        "sweep": 2,  # one hears of commits: jobs/sweep.py
{% if cookiecutter.beat %}
        "beat": 2,  # one holds the lock: ops/leader.py
{% endif %}
        "spare": 10,  # migrate, a backup, a person
    }
