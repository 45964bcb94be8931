"""Celery's tasks: `work`, which works on jobs, and plain ones as samples. Each may run twice when a worker dies (acks
late), so each gives the same end when it does.
"""

import time
{% if cookiecutter.beat %}
from datetime import timedelta
{% endif %}

from celery import shared_task
{% if cookiecutter.beat %}
from django.utils import timezone
{% endif %}

{% if cookiecutter.beat %}
from jobs import cleanup, worker
{% else %}
from jobs import worker
{% endif %}
from jobs.models import Trace


@shared_task
def work(job_id: str) -> None:
    """Work on a job of the ledger, if nobody else does."""
    worker.work(job_id)


{% if cookiecutter.result_backend == "none" %}
@shared_task(bind=True)
def add(self, x: int, y: int) -> None:
    """Leave x + y as a Trace: there is no result backend that could bring it back."""
    Trace.leave(self.request, x + y)
{% else %}
@shared_task(ignore_result=False)
def add(x: int, y: int) -> int:
    """Return x + y, by way of the result backend."""
    return x + y
{% endif %}


@shared_task(bind=True)
def slow(self, seconds: float) -> None:
    """Work for `seconds`, then leave a Trace: something to watch, to stop and to redeliver."""
    time.sleep(seconds)
    Trace.leave(self.request, seconds)
{% if cookiecutter.beat %}


@shared_task(bind=True)
def tick(self) -> None:
    """Leave a Trace that beat, broker and worker work, and delete the ticks of more than a day ago."""
    Trace.leave(self.request, None)
    Trace.objects.filter(task=self.name, finished_at__lt=timezone.now() - timedelta(days=1)).delete()


@shared_task
def clean_up() -> None:
    """Delete old jobs and their files."""
    cleanup.clean_up()
{% endif %}
