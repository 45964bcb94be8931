"""What the sample tasks write to the database."""

from typing import Any

from celery.app.task import Context
from django.db import models
from django.utils import timezone


class TaskRun(models.Model):
    """A task that has finished. A task that ran twice, because its message was delivered twice, is one row."""

    task_id = models.CharField(max_length=64, unique=True)
    task_name = models.CharField(max_length=200)
    result = models.JSONField(null=True)
    worker = models.CharField(max_length=200, help_text="The worker's node name")
    finished_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["-finished_at"]

    def __str__(self):
        return f"{self.task_name} {self.task_id}"

    @classmethod
    def record(cls, request: Context, result: Any) -> None:
        """Write that a task has finished.

        `request` is the `self.request` of a bound task, and `result` is what the task found out, as JSON can store it.
        """
        cls.objects.update_or_create(
            task_id=request.id,
            defaults={"task_name": request.task, "result": result, "worker": request.hostname},
        )
