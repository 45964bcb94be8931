"""The ledger of jobs, and what sample tasks leave in the database."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone


class Job(models.Model):
    """A piece of work, from the moment somebody wanted it. jobs/ledger.py has each step from one status to the next."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=100, help_text="The name of a function with @job")
    arguments = models.JSONField(default=dict, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="jobs"
    )
    key = models.CharField(max_length=200, blank=True, help_text="The same key of the same owner is the same job")
    queue = models.CharField(max_length=100, blank=True, help_text="Empty: the default queue")
    request_id = models.CharField(max_length=64, blank=True, help_text="The request that submitted it, as in the logs")

    status = models.CharField(max_length=9, choices=Status.choices, default=Status.WAITING)
    attempts = models.PositiveIntegerField(default=0, help_text="How often it was started")
    max_attempts = models.PositiveIntegerField(default=1)
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0, help_text="0: not known")
    note = models.CharField(max_length=200, blank=True)
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True, help_text="Why the last attempt did not succeed")
    output = models.FileField(blank=True, max_length=300, help_text="What the job wrote for its owner to download")
    cancel_requested = models.BooleanField(default=False, help_text="A running job was asked to stop")

    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True, help_text="The last attempt's start")
    finished_at = models.DateTimeField(null=True, blank=True)

    due_at = models.DateTimeField(db_default=Now(), help_text="Not before this: later after an error")
    published_at = models.DateTimeField(null=True, blank=True, help_text="When its last message went to the broker")
    lease_until = models.DateTimeField(
        null=True, blank=True, help_text="The worker renews it while the job runs; over, the job is another worker's"
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "key"], condition=~Q(key=""), name="one_job_a_key"),
            models.UniqueConstraint(
                fields=["key"], condition=~Q(key="") & Q(owner=None), name="one_job_a_key_without_owner"
            ),
        ]
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="jobs_of_an_owner"),
            # Small ones, for the sweep: finished jobs are not in them.
            models.Index(fields=["due_at"], condition=Q(status="waiting"), name="jobs_waiting"),
            models.Index(fields=["lease_until"], condition=Q(status="running"), name="jobs_running"),
        ]

    def __str__(self):
        return f"{self.kind} {self.pk}"

    @property
    def finished(self) -> bool:
        """Will it stay as it is?"""
        return self.status not in {self.Status.WAITING, self.Status.RUNNING}

    @property
    def percent(self) -> int | None:
        """How much of it is done, 0 to 100; None if it has not said."""
        if self.status == self.Status.SUCCEEDED:
            return 100
        return min(100 * self.done // self.total, 100) if self.total else None


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
