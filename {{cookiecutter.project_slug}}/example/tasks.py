"""Sample tasks. Celery finds a tasks.py in every app.

A task may run twice, because its message is acknowledged only after it has finished: if the worker dies before that,
another worker runs the task again. So each of these tasks has the same effect whether it runs once or twice.
"""

import time
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from example.models import TaskRun


@shared_task(bind=True)
def add(self, x: int, y: int) -> int:
    """Return x + y, and record it as a TaskRun for projects without a result backend."""
    TaskRun.record(self.request, x + y)
    return x + y


# It returns nothing, and ignore_result=True spares the writes to the result backend: docs/tasks.md.
@shared_task(bind=True, ignore_result=True)
def slow(self, seconds: float) -> None:
    """Sleep for `seconds`, then record a TaskRun. Send SIGQUIT to the worker meanwhile to see the task redelivered."""
    time.sleep(seconds)
    TaskRun.record(self.request, seconds)


@shared_task(bind=True, ignore_result=True)
def tick(self) -> None:
    """Record that the schedule, the broker and a worker do their work, and delete the ticks that are over a day old."""
    TaskRun.record(self.request, None)
    TaskRun.objects.filter(task_name=self.name, finished_at__lt=timezone.now() - timedelta(days=1)).delete()
