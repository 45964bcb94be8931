"""The Celery app: `celery -A config worker`. Its settings are in config/settings/celery.py."""

import os

from celery import Celery, signals

from ops import request_id
from ops.celery import database_connections, filesystem, shutdown, threads, worker_heartbeat
from ops.celery import {{ cookiecutter.broker }} as broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")

app = Celery("{{ cookiecutter.project_slug }}", task_cls="ops.celery.{{ cookiecutter.broker }}.task:Task")
# `force` loads the settings now. Otherwise Celery could read the variable CELERY_BROKER_URL before the settings have
# put the password into it: exported_url_with_password() in config/settings/environment.py.
app.config_from_object("django.conf:settings", namespace="CELERY", force=True)
app.autodiscover_tasks()
broker.install(app)
filesystem.install()
threads.install()
app.steps["worker"].add(worker_heartbeat.WorkerHeartbeat)
signals.before_task_publish.connect(request_id.add_to_message)
signals.task_prerun.connect(request_id.set_for_task)
signals.task_prerun.connect(database_connections.close_old_before_task)
signals.task_postrun.connect(database_connections.close_after_task)
signals.task_postrun.connect(request_id.clear_after_task)
signals.worker_process_init.connect(worker_heartbeat.start_in_pool_process)
signals.worker_shutting_down.connect(shutdown.cold_shutdown_after_deadline)
