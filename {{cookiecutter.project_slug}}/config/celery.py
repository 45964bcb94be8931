"""The Celery app: `celery -A config worker`. Its settings stand in config/settings/celery.py."""

import os

from celery import Celery, signals
{% if cookiecutter.broker == "redis" %}
from kombu.transport import TRANSPORT_ALIASES

from ops import drain, heartbeat, logs
{% else %}

from ops import dead_letters, drain, heartbeat, logs
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
signals.before_task_publish.connect(dead_letters.leave_expiry_to_workers)
{% endif %}
signals.before_task_publish.connect(logs.send_along)
signals.task_prerun.connect(logs.enter_task)
signals.task_postrun.connect(logs.leave_task)
signals.worker_process_init.connect(heartbeat.start_in_pool_process)
signals.worker_shutting_down.connect(drain.limit)
