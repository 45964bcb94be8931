"""Refuses to start with times that don't fit together: the numbers stand in config/settings/celery.py."""

from celery import current_app
from django.conf import settings
from django.core.checks import Error, register
from django.utils.module_loading import autodiscover_modules


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
