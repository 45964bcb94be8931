"""What sample tasks leave in the database."""

from django.db import models
from django.utils import timezone


class Trace(models.Model):
    """One finished run of a task. A task that runs twice (a redelivered message) leaves one trace."""

    task_id = models.CharField(max_length=64, unique=True)
    task = models.CharField(max_length=200)
    result = models.JSONField(null=True)
    worker = models.CharField(max_length=200, help_text="The worker's node name")
    finished_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["-finished_at"]

    def __str__(self):
        return f"{self.task} {self.task_id}"

    @classmethod
    def leave(cls, request, result) -> None:
        """Write that the task of `request` (the `self.request` of a bound task) ended with `result` (JSON)."""
        cls.objects.update_or_create(
            task_id=request.id,
            defaults={"task": request.task, "result": result, "worker": request.hostname},
        )
