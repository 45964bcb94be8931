"""The table of jobs."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Job(models.Model):
    """A piece of work, from its submission until it is deleted. Only jobs/lifecycle.py changes its status."""

    class Status(models.TextChoices):
        """The states of a job. A job in one of the last three has ended. A failed or cancelled one can be retried."""

        WAITING = "waiting"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=100, help_text="The name of a function decorated with @job")
    arguments = models.JSONField(default=dict, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="jobs"
    )
    idempotency_key = models.CharField(
        max_length=200, blank=True, help_text="Submitting the same key for the same owner again returns this job"
    )
    queue = models.CharField(max_length=100, blank=True, help_text="The default queue if empty")
    request_id = models.CharField(
        max_length=64, blank=True, help_text="The id, as in the logs, of the request that submitted the job"
    )

    status = models.CharField(max_length=9, choices=Status.choices, default=Status.WAITING)
    attempts = models.PositiveIntegerField(default=0, help_text="How often the job has been started")
    interruptions = models.PositiveIntegerField(
        default=0, help_text="How many of these attempts ended because the worker was stopped"
    )
    max_attempts = models.PositiveIntegerField(
        default=1, help_text="How many attempts the job has. Interruptions do not count"
    )
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0, help_text="0 if the total is not known")
    note = models.CharField(max_length=200, blank=True)
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True, help_text="Why the last attempt did not succeed")
    output = models.FileField(
        blank=True, max_length=300, help_text="The file that the job has written for its owner to download"
    )
    cancel_requested = models.BooleanField(default=False, help_text="Whether somebody has cancelled the job")

    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True, help_text="When the last attempt started")
    finished_at = models.DateTimeField(null=True, blank=True)

    run_after = models.DateTimeField(
        db_default=Now(), help_text="The job does not start before this time. An error moves it into the future"
    )
    published_at = models.DateTimeField(
        null=True, blank=True, help_text="When the last message for the job was published to the broker"
    )
    publish_error = models.TextField(
        blank=True, help_text="Why the broker did not take the last message. It is tried again every minute"
    )
    task_id = models.CharField(max_length=64, blank=True, help_text="The id of the Celery task of the last attempt")
    lease_expires_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="If the worker has not renewed the lease by then, another worker may claim the job",
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="job_unique_idempotency_key",
            ),
            models.UniqueConstraint(
                fields=["idempotency_key"],
                condition=~Q(idempotency_key="") & Q(owner=None),
                name="job_unique_idempotency_key_without_owner",
            ),
        ]
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="job_owner_created_idx"),
            # The dispatcher uses these. They stay small, because finished jobs are not in them.
            models.Index(fields=["run_after"], condition=Q(status="waiting", published_at=None), name="job_due_idx"),
            models.Index(
                fields=["queue", "owner", "run_after"],
                condition=Q(status="waiting", published_at=None),
                name="job_backlog_idx",
            ),
            models.Index(
                fields=["queue"], condition=Q(status="waiting", published_at__isnull=False), name="job_published_idx"
            ),
            models.Index(fields=["lease_expires_at"], condition=Q(status="running"), name="job_lease_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def is_finished(self) -> bool:
        """Whether the job has ended: succeeded, failed, or cancelled."""
        return self.status not in {self.Status.WAITING, self.Status.RUNNING}

    @property
    def counted_attempts(self) -> int:
        """How many of `max_attempts` the job has used. Stopping a worker uses up none."""
        return self.attempts - self.interruptions

    @property
    def percent(self) -> int | None:
        """How much of the work is done, from 0 to 100. 100 for a job that has succeeded. Otherwise None if the job has
        not reported a total.
        """
        if self.status == self.Status.SUCCEEDED:
            return 100
        return min(100 * self.done // self.total, 100) if self.total else None
