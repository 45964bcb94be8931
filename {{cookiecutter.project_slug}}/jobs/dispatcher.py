"""The loop of `manage.py dispatch_jobs`, which publishes jobs to the broker.

It works from the rows in the database. If the broker is down, hangs, or has lost all its messages, jobs are delayed but
not lost. Several dispatchers may run at the same time, because only one of them can mark a row as published.
"""

import logging
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from celery import current_app
from celery.exceptions import QueueNotFound
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Q
from kombu.exceptions import OperationalError

from jobs import backlog, lifecycle, registry
from jobs.exceptions import UnknownKind
from jobs.models import Job
from jobs.notifications import NotificationListener
from jobs.queues import companion, names_of
from jobs.tasks import execute_job
from ops import heartbeat
from ops.celery.broker_probe import BrokerProbe

logger = logging.getLogger(__name__)

RETRY_INTERVAL = 1.0  # seconds until the dispatcher tries again when the database or the broker does not answer
REFUSED_DELAY = 60  # seconds until the dispatcher tries again to publish a job that the broker did not take
RECOVER_INTERVAL = 5.0  # seconds between two looks for jobs whose lease has expired


class BrokerDoesNotAnswer(Exception):
    """The broker is down or hangs, so no job can be published."""


def run(stop: threading.Event) -> None:
    """Dispatch jobs until `stop` is set. If the database or the broker is down, keep trying.

    The loop only reads `stop` and never waits for it. A signal handler runs in the main thread, and one that sets an
    event for which the same thread is waiting can deadlock.
    """
    listener = NotificationListener()
    broker = BrokerProbe()
    broker.start()
    recover_at = look_for_lost_jobs_at = 0.0
    while not stop.is_set():
        heartbeat.alive("dispatcher").touch()
        try:
            now = time.monotonic()
            if now >= recover_at:
                lifecycle.recover_expired_leases()
                recover_at = now + RECOVER_INTERVAL
            if now >= look_for_lost_jobs_at:
                republish_lost_jobs()
                look_for_lost_jobs_at = now + settings.JOBS_REPUBLISH_AFTER_SECONDS / 2
            more = publish_due_jobs()
            if broker.answers:
                heartbeat.ready("dispatcher").touch()
            if more:
                listener.wait_for_places()
            else:
                listener.wait(_seconds_until_next_job())
        except DatabaseError as error:
            logger.warning("dispatcher: the database does not answer, trying again: %s", error)
            connection.close()
            listener.close()
            time.sleep(RETRY_INTERVAL)
    listener.close()
    broker.stop()
    heartbeat.end("dispatcher")


def _seconds_until_next_job() -> float:
    """Return the seconds until the next waiting job is due, or RETRY_INTERVAL if due jobs could not be published."""
    next_jobs = backlog.next_jobs()
    due_in = next_jobs[0].due_in.total_seconds() if next_jobs else float("inf")
    return due_in if due_in > 0 else RETRY_INTERVAL


def publish_due_jobs() -> bool:
    """Publish the jobs that are waiting and due, as many as the broker may have.

    The rows are marked as published before their messages are sent, so that no row stays locked while the broker hangs.
    If this process dies in between, `republish_lost_jobs` finds the jobs that have no message.

    Returns:
        Whether more due jobs may be waiting for a free place in the broker.
    """
    more = False
    try:
        if only := backlog.take_only():
            _publish_all([only])
        for queue, due in _due_by_queue():
            jobs, full = backlog.take(queue, due)
            # After a refusal, do not report more jobs. Otherwise run() would try the next ones five times a second.
            more |= _publish_all(jobs) and full
    except BrokerDoesNotAnswer as error:
        logger.warning("dispatcher: the broker does not answer, trying again: %r", error.__cause__)
        return False
    return more


def _publish_all(jobs: list[Job]) -> bool:
    """Publish jobs that are marked as published. Put back those that the broker does not take.

    Returns:
        Whether all were accepted.

    Raises:
        BrokerDoesNotAnswer: The broker is down or hangs. The jobs without a message have been put back.
    """
    all_accepted = True
    for number, job in enumerate(jobs):
        try:
            _publish(job)
        except Exception as error:  # each broker raises errors of its own
            if _is_connection_error(error):
                backlog.put_back(jobs[number:])
                raise BrokerDoesNotAnswer from error
            logger.warning("dispatcher: job %s is not accepted, trying again in a minute: %r", job, error)
            reason = f"{type(error).__name__}: {error}".replace("\0", "")  # PostgreSQL cannot store NUL in a text
            backlog.put_back([job], publish_error=reason, run_after=lifecycle.now_plus(REFUSED_DELAY))
            all_accepted = False
    return all_accepted


def _due_by_queue() -> Iterator[tuple[str, list[Any] | None]]:
    """Yield each queue that has due jobs, with their primary keys.

    If many jobs are due, yield each queue that has unpublished jobs, with None instead of the keys.
    """
    next_jobs = backlog.next_jobs()
    due = [job for job in next_jobs if job.due_in <= timedelta()]
    if len(due) == backlog.FEW:
        for queue in backlog.queues():
            yield queue, None
        return
    for queue in dict.fromkeys(job.queue for job in due):
        yield queue, [job.pk for job in due if job.queue == queue]


def _publish(job: Job) -> None:
    heartbeat.alive("dispatcher").touch()  # a batch may take minutes if the broker is slow
    options: dict[str, Any] = {"headers": {"request_id": job.request_id}}
    try:
        kind = registry.get(job.kind)
    except UnknownKind:
        pass  # The worker may run newer code, which knows the kind.
    else:
        limit = kind.time_limit or settings.CELERY_TASK_TIME_LIMIT
        soft_limit = kind.soft_time_limit or settings.CELERY_TASK_SOFT_TIME_LIMIT
        # The last job of a turn may start this much later than the first one: executor.execute().
        options["time_limit"] = limit + settings.JOBS_TURN_SECONDS
        options["soft_time_limit"] = soft_limit + settings.JOBS_TURN_SECONDS
    execute_job.apply_async((str(job.pk),), queue=companion(job.queue), **options)


def _is_connection_error(error: Exception) -> bool:
    """Return whether no other job could be published either, because the broker is down or hangs."""
    broker, cause = current_app.connection_for_write(), error.__cause__ or error
    # kombu lists KeyError among Redis's connection errors, but Celery's QueueNotFound is a KeyError too.
    is_known = isinstance(cause, (OperationalError, OSError, *broker.connection_errors))
    return is_known and not isinstance(cause, KeyError)


def republish_lost_jobs() -> None:
    """Find waiting jobs whose messages the broker has lost, and let them be published again.

    A broker loses messages when somebody empties it or restores it from a backup. Publishing a job too often is
    harmless, because a worker ignores the message of a job that it cannot claim.
    """
    rows = backlog.in_broker()
    long_ago = rows.filter(published_at__lt=lifecycle.now_plus(-settings.JOBS_REPUBLISH_ALWAYS_AFTER_SECONDS))
    if republished := long_ago.update(published_at=None):
        logger.info("dispatcher: %d jobs have waited for long, publishing them again", republished)
    old = rows.filter(published_at__lt=lifecycle.now_plus(-settings.JOBS_REPUBLISH_AFTER_SECONDS))
    for queue in list(old.order_by().values_list("queue", flat=True).distinct()):
        same = Q(queue__in=names_of(queue))
        missing = rows.filter(same).count() - _queue_length(queue)
        if missing > 0:
            lost = list(old.filter(same).order_by("published_at").values_list("pk", flat=True)[:missing])
            republished = Job.objects.filter(pk__in=lost, status=Job.Status.WAITING).update(published_at=None)
            logger.info("dispatcher: %d jobs wait without a message, publishing them again", republished)


def _queue_length(queue: str) -> float:
    """Return how many messages for jobs wait in the queue, or infinity if the broker does not answer."""
    try:
        found = companion(queue)
    except QueueNotFound:
        return 0
    try:
        with current_app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1)
            try:
                return found(broker.default_channel).queue_declare(passive=True).message_count
            except broker.channel_errors:
                return 0  # The queue has not been created yet, or it was deleted.
    except Exception as error:
        logger.warning("dispatcher: the broker does not answer: %r", error)
        return float("inf")
