"""The Celery app: `celery -A config worker`. Its settings stand in config/settings/celery.py."""

import os

from celery import Celery
{% if cookiecutter.broker == "redis" %}
from celery.signals import worker_process_init, worker_shutting_down
from kombu.transport import TRANSPORT_ALIASES

from ops import drain, heartbeat
{% else %}
from celery.signals import before_task_publish, worker_process_init, worker_shutting_down

from ops import dead_letters, drain, heartbeat
{% endif %}

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")

{% if cookiecutter.broker == "redis" %}
# Celery's own loses a message when a worker or the server is killed in the moment of its delivery.
TRANSPORT_ALIASES |= dict.fromkeys(["redis", "rediss"], "ops.redis_transport:Transport")

{% endif %}
app = Celery("{{ cookiecutter.project_slug }}", task_cls="ops.task:Task")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(heartbeat.WorkerHeartbeat)
{% if cookiecutter.broker == "rabbitmq" %}
app.steps["consumer"].add(dead_letters.DeadLetters)
before_task_publish.connect(dead_letters.leave_expiry_to_workers)
{% endif %}
worker_process_init.connect(heartbeat.start_in_pool_process)
worker_shutting_down.connect(drain.limit)
