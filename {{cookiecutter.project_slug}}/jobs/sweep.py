"""The loop that publishes jobs: `manage.py sweep`. It reads the ledger, so a broker that is down, hangs, or has lost
everything costs time and no job. Several may run: they take different rows.
"""

import logging
import threading
import time

from celery import current_app
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Count
from django.db.models.functions import Now

from jobs import ledger, registry
from jobs.models import Job
from jobs.tasks import work
from ops import heartbeat

logger = logging.getLogger(__name__)

BATCH = 100
PAUSE = 1.0  # seconds between two looks, where NOTIFY wakes the sweep in between …
PAUSE_WITHOUT_NOTIFY = 0.2  # … and where nothing does


def run(stop: threading.Event) -> None:
    """Sweep until `stop` is set. A database or a broker that is away is waited for.

    `stop` is looked at and never waited for: a signal's handler that sets it while its own thread waits for it hangs.
    """
    listener = Listener()
    look_for_lost_at = 0.0
    while not stop.is_set():
        try:
            ledger.expire()
            if time.monotonic() >= look_for_lost_at:
                forget_lost_messages()
                look_for_lost_at = time.monotonic() + settings.JOBS_MESSAGE_GRACE_SECONDS / 2
            more = publish()
            heartbeat.SWEEP.touch()
            if not more:
                listener.wait()
        except DatabaseError as error:
            logger.warning("sweep: the database does not answer, trying again: %s", error)
            connection.close()
            listener.close()
            time.sleep(PAUSE)
    listener.close()


def publish() -> bool:
    """Publish what waits and is due, a batch at most. Returns whether there is more to do at once.

    A row is marked as published before its message goes out, so that no lock is held while a broker hangs. If this
    process dies in between, the message is found to be lost.
    """
    due = Job.objects.filter(status=Job.Status.WAITING, published_at=None, due_at__lte=Now())
    with transaction.atomic():
        jobs = list(due.select_for_update(skip_locked=True).order_by("due_at")[:BATCH])
        Job.objects.filter(pk__in=[job.pk for job in jobs]).update(published_at=Now())
    for number, job in enumerate(jobs):
        try:
            _send(job)
        except Exception as error:  # brokers raise what they like; whatever it is, the jobs wait
            logger.warning("sweep: the broker does not take jobs, trying again: %r", error)
            unsent = [job.pk for job in jobs[number:]]
            Job.objects.filter(pk__in=unsent, status=Job.Status.WAITING).update(published_at=None)
            return False
    return len(jobs) == BATCH


def _send(job: Job) -> None:
    options = {"headers": {"request_id": job.request_id}}
    try:
        kind = registry.get(job.kind)
    except registry.UnknownKind:
        pass  # the worker may know it
    else:
        options |= {"time_limit": kind.time_limit, "soft_time_limit": kind.soft_time_limit}
    work.apply_async((str(job.pk),), queue=job.queue or None, **options)


def forget_lost_messages() -> None:
    """Find jobs that wait although the broker has no message for them (it was emptied, or restored from a backup), and
    let them be published again. Too many is harmless: a worker ignores a copy.
    """
    published = Job.objects.filter(status=Job.Status.WAITING).exclude(published_at=None)
    grace = ledger.after(-settings.JOBS_MESSAGE_GRACE_SECONDS)
    for queue, count in published.order_by().values_list("queue").annotate(Count("pk")):
        old = published.filter(queue=queue, published_at__lt=grace)
        missing = count - _messages_in(queue) if old.exists() else 0
        if missing > 0:
            lost = list(old.order_by("published_at").values_list("pk", flat=True)[:missing])
            again = Job.objects.filter(pk__in=lost, status=Job.Status.WAITING).update(published_at=None)
            logger.info("sweep: %d jobs wait without a message, publishing them again", again)


def _messages_in(queue: str) -> float:
    """Return how many messages wait in the queue; infinity if the broker does not say."""
    queues = current_app.amqp.queues
    try:
        with current_app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1)
            try:
                found = queues[queue or current_app.conf.task_default_queue](broker.default_channel)
                return found.queue_declare(passive=True).message_count
            except broker.channel_errors:
                return 0  # there is no such queue yet, or any more
    except Exception as error:
        logger.warning("sweep: the broker does not answer: %r", error)
        return float("inf")


class Listener:
    """Waits until a transaction that submitted a job is committed. PostgreSQL says so, on a connection of this
    object's own; with SQLite it only pauses.
    """

    def __init__(self):
        self._connection = connection.copy()

    def wait(self) -> None:
        """Return after PAUSE, or at once if there is something to do. Raises DatabaseError."""
        if connection.vendor != "postgresql":
            time.sleep(PAUSE_WITHOUT_NOTIFY)
        elif self._connection.connection is None:
            with self._connection.cursor() as cursor:
                cursor.execute(f"LISTEN {ledger.CHANNEL}")
            # And no wait: what was committed before this moment has woken nobody.
        else:
            with self._connection.wrap_database_errors:
                for _ in self._connection.connection.notifies(timeout=PAUSE, stop_after=1):
                    pass

    def close(self) -> None:
        """Close the connection; the next wait() opens it again."""
        self._connection.close()
