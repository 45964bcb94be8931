"""The loop of `manage.py dispatch_jobs`, which publishes jobs to the broker.

It works from the rows in the database. If the broker is down, hangs, or has lost all its messages, jobs are delayed but
not lost. Several dispatchers may run at the same time, because each one locks the rows that it publishes.
"""

import logging
import threading
import time
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Count
from django.db.models.functions import Now

from jobs import lifecycle, registry
from jobs.exceptions import UnknownKind
from jobs.models import Job
from jobs.notifications import POLL_INTERVAL, NotificationListener
from jobs.tasks import execute_job
from ops import heartbeat

logger = logging.getLogger(__name__)

BATCH = 100  # jobs that are published in one round


def run(stop: threading.Event) -> None:
    """Dispatch jobs until `stop` is set. If the database or the broker is down, keep trying.

    The loop only reads `stop` and never waits for it. A signal handler runs in the main thread, and one that sets an
    event for which the same thread is waiting would deadlock.
    """
    listener = NotificationListener()
    look_for_lost_jobs_at = 0.0
    while not stop.is_set():
        try:
            lifecycle.recover_expired_leases()
            if time.monotonic() >= look_for_lost_jobs_at:
                republish_lost_jobs()
                look_for_lost_jobs_at = time.monotonic() + settings.JOBS_REPUBLISH_AFTER_SECONDS / 2
            more = publish_due_jobs()
            heartbeat.file("dispatcher").touch()
            if not more:
                listener.wait()
        except DatabaseError as error:
            logger.warning("dispatcher: the database does not answer, trying again: %s", error)
            connection.close()
            listener.close()
            time.sleep(POLL_INTERVAL)
    listener.close()


def publish_due_jobs() -> bool:
    """Publish one batch of the jobs that are waiting and due.

    The rows are marked as published before their messages are sent, so that no row stays locked while the broker hangs.
    If this process dies in between, `republish_lost_jobs` finds the jobs that have no message.

    Returns:
        Whether more jobs may be due already.
    """
    due = Job.objects.filter(status=Job.Status.WAITING, published_at=None, run_after__lte=Now())
    with transaction.atomic():
        jobs = list(due.select_for_update(skip_locked=True).order_by("run_after")[:BATCH])
        Job.objects.filter(pk__in=[job.pk for job in jobs]).update(published_at=Now())
    for number, job in enumerate(jobs):
        try:
            _publish(job)
        except Exception as error:  # Each broker raises its own errors. Whatever it is, the jobs keep waiting.
            logger.warning("dispatcher: the broker does not accept jobs, trying again: %r", error)
            unpublished = [job.pk for job in jobs[number:]]
            Job.objects.filter(pk__in=unpublished, status=Job.Status.WAITING).update(published_at=None)
            return False
    return len(jobs) == BATCH


def _publish(job: Job) -> None:
    options: dict[str, Any] = {"headers": {"request_id": job.request_id}}
    try:
        kind = registry.get(job.kind)
    except UnknownKind:
        pass  # The worker may run newer code, which knows the kind.
    else:
        options |= {"time_limit": kind.time_limit, "soft_time_limit": kind.soft_time_limit}
    execute_job.apply_async((str(job.pk),), queue=job.queue or None, **options)


def republish_lost_jobs() -> None:
    """Find waiting jobs whose messages the broker has lost, and let them be published again.

    A broker loses messages when somebody empties it or restores it from a backup. Publishing a job too often is
    harmless, because a worker ignores the message of a job that it cannot claim.
    """
    published = Job.objects.filter(status=Job.Status.WAITING).exclude(published_at=None)
    too_recent = lifecycle.now_plus(-settings.JOBS_REPUBLISH_AFTER_SECONDS)
    for queue, count in published.order_by().values_list("queue").annotate(Count("pk")):
        old = published.filter(queue=queue, published_at__lt=too_recent)
        missing = count - _queue_length(queue) if old.exists() else 0
        if missing > 0:
            lost = list(old.order_by("published_at").values_list("pk", flat=True)[:missing])
            republished = Job.objects.filter(pk__in=lost, status=Job.Status.WAITING).update(published_at=None)
            logger.info("dispatcher: %d jobs wait without a message, publishing them again", republished)


def _queue_length(queue: str) -> float:
    """Return how many messages wait in the queue, or infinity if the broker does not answer."""
    queues = current_app.amqp.queues
    try:
        with current_app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1)
            try:
                found = queues[queue or current_app.conf.task_default_queue](broker.default_channel)
                return found.queue_declare(passive=True).message_count
            except broker.channel_errors:
                return 0  # The queue has not been created yet, or it was deleted.
    except Exception as error:
        logger.warning("dispatcher: the broker does not answer: %r", error)
        return float("inf")
