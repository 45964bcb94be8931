"""Chooses which of the waiting jobs go to the broker next.

The backlog stays in the database. The broker gets only as many messages as the workers take within seconds, so it needs
little memory, and a job that is submitted later overtakes the backlog of another owner, because owners take turns.
"""

import heapq
import math
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any, NamedTuple

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import (
    BooleanField,
    Count,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    IntegerField,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Coalesce, Now
from django.db.models.lookups import LessThan

from jobs.models import Job
from jobs.queues import names_of
from jobs.statements import Parameter, Select, Update, column

BATCH = 100  # jobs of one queue that are taken at once, at most
FEW = 10  # If fewer jobs than this are due and there are places for all of them, no turns are needed.
PACE_INTERVAL = 0.5  # seconds over which the pace of the workers is measured


class Pace:
    """How many messages of a queue the workers take per second, as far as this dispatcher sees it.

    Jobs of some milliseconds need more messages than jobs of minutes, otherwise workers would wait for the dispatcher.
    """

    def __init__(self) -> None:
        self.per_second = 0.0
        self._taken = self._left = 0
        self._since = time.monotonic()

    def note(self, messages: int) -> None:
        """Note how many messages the broker has now."""
        self._taken += max(0, self._left - messages)
        self._left = messages
        passed = time.monotonic() - self._since
        if passed >= PACE_INTERVAL:
            self.per_second, self._taken, self._since = self._taken / passed, 0, time.monotonic()

    def add(self, messages: int) -> None:
        """Count messages that the broker gets. A negative number takes back messages that it did not get after all."""
        self._left += messages


_paces: dict[str, Pace] = {}  # by queue
# By queue: the owner of the job that was chosen last. The next round begins after this owner, so that everybody has a
# turn even if there are more owners than free places in the broker. Each dispatcher keeps its own record.
_last_owner: dict[str, Any] = {}


def in_database() -> QuerySet[Job]:
    """Return the waiting jobs that have not been published. Each query on them below uses an index."""
    return Job.objects.filter(status=Job.Status.WAITING, published_at=None)


def in_broker() -> QuerySet[Job]:
    """Return the waiting jobs that have been published."""
    return Job.objects.filter(status=Job.Status.WAITING).exclude(published_at=None)


class Waiting(NamedTuple):
    """A job that has not been published."""

    pk: Any
    queue: str
    due_in: timedelta  # negative if the job is due


_DUE_IN = ExpressionWrapper(F("run_after") - Now(), DurationField())
_NEXT = Select(lambda: in_database().order_by("run_after").values_list("pk", "queue", _DUE_IN)[:FEW])
_PUBLISHED = Select(
    lambda: (
        in_broker()
        .filter(queue__in=[column("queue"), Parameter("alias", Job._meta.get_field("queue"))])
        .order_by()
        .values_list("owner")
        .annotate(Count("pk"))
    )
)
# The columns of a job that goes to the broker.
_PUBLISHED_NOW: dict[str, Any] = {"published_at": Now(), "publish_error": ""}
_MARK_PUBLISHED = Update(lambda: (in_database().filter(pk=column("id"), run_after__lte=Now()), _PUBLISHED_NOW))
_IN_BROKER = Coalesce(
    Subquery(in_broker().order_by().annotate(all=Value(1)).values("all").annotate(count=Count("pk")).values("count")), 0
)


def _take_only() -> tuple[QuerySet[Job], dict[str, Any]]:
    due = in_database().filter(run_after__lte=Now()).order_by("run_after").values("pk")
    has_place = LessThan(_IN_BROKER, Parameter("places", IntegerField()))
    rows = Job.objects.filter(has_place, ~Exists(due[1:2]), pk=due.select_for_update(skip_locked=True)[:1])
    return rows, _PUBLISHED_NOW


_TAKE_ONLY = Update(_take_only)


def take_only() -> Job | None:
    """If exactly one job is due, and the broker has few messages for jobs, mark this job as published.

    One statement does it, so a job starts sooner when there is little to do. It does not know the job's queue. So it
    counts the messages of all queues, and uses the smallest limit of any queue.

    Returns:
        The job. None if no job is due, if several jobs are due, or if the broker has more messages.
    """
    places = min(map(_smallest_window, (queue.name for queue in settings.CELERY_TASK_QUEUES)))
    job = next(iter(_TAKE_ONLY(places=places)), None)
    if job:
        _pace(job.queue).add(1)
    return job


def next_jobs() -> list[Waiting]:
    """Return the jobs that have not been published and are due first, FEW of them at most."""
    return [Waiting(*row) for row in _NEXT()]


def queues() -> Iterator[str]:
    """Yield each queue that has waiting jobs that have not been published."""
    names = in_database().order_by("queue", "owner_id", "run_after").values_list("queue", flat=True)
    name = names.first()
    while name is not None:
        yield name
        name = names.filter(queue__gt=name).first()


def take(queue: str, due: list[Any] | None = None) -> tuple[list[Job], bool]:
    """Mark due jobs of the queue as published, as many as the broker may have.

    The owner with the fewest messages in the broker is always next. Each owner's oldest job comes first. If several
    dispatchers look at the same moment, each of them may fill the free places.

    Args:
        queue: The name of the queue, as in the jobs' rows.
        due: The primary keys of all due jobs of the queue, the oldest first. None if FEW or more jobs are due in all
            queues together. If it is None, or if there are too few places for all of them, this function lets the
            owners take turns.

    Returns:
        The jobs in the order in which they should go, and whether more due jobs may be waiting for a place.
    """
    names = names_of(queue)
    messages = Counter(dict(_PUBLISHED(queue=min(names), alias=max(names))))  # by owner
    pace = _pace(queue)
    pace.note(messages.total())
    places = min(BATCH, _window(names, messages.total(), pace) - messages.total())
    if due is None or len(due) > places:
        due = _choose(queue, places, messages) if places > 0 else []
    jobs = _marked(due)
    pace.add(len(jobs))
    return jobs, len(due) >= places


def _marked(chosen: list[Any]) -> list[Job]:
    """Mark the jobs with these primary keys as published, and return them in this order.

    Since they were chosen, another dispatcher or a worker may have taken some of them, or a user may have cancelled
    them. Those are left out.
    """
    if len(chosen) < FEW:
        return [job for pk in chosen for job in _MARK_PUBLISHED(id=pk)]
    with transaction.atomic():
        # Only by primary key, because with old statistics PostgreSQL would otherwise read the whole backlog.
        waits = Q(status=Job.Status.WAITING, published_at=None, run_after__lte=Now())
        locked = Job.objects.filter(pk__in=chosen).order_by()
        locked = locked.annotate(may_go=ExpressionWrapper(waits, BooleanField()))
        jobs = {job.pk: job for job in locked.select_for_update(skip_locked=True) if job.may_go}
        Job.objects.filter(pk__in=jobs).update(**_PUBLISHED_NOW)
    return [jobs[pk] for pk in chosen if pk in jobs]


def put_back(jobs: list[Job], **columns: Any) -> None:
    """Let jobs that were not published wait in the database again, unless they were cancelled meanwhile.

    Args:
        jobs: The jobs, which are marked as published.
        columns: Further columns to set.
    """
    rows = Job.objects.filter(pk__in=[job.pk for job in jobs], status=Job.Status.WAITING)
    rows.update(published_at=None, **columns)
    for job in jobs:
        _pace(job.queue).add(-1)


def _pace(queue: str) -> Pace:
    return _paces.setdefault(queue, Pace())


def _smallest_window(queue: str = "") -> int:
    """Return how many messages the broker may always have, however slow the workers of this queue are."""
    name = queue or current_app.conf.task_default_queue
    tasks = sum(pool.capacity for pool in settings.WORKER_POOLS.values() if pool.consumes(name))
    return settings.JOBS_MESSAGES_PER_PROCESS * max(1, tasks)


def _window(names: set[str], messages: int, pace: Pace) -> int:
    """Return how many messages the broker may have: JOBS_MESSAGES_PER_PROCESS for each process of the workers, or as
    many as the workers take in a second, if that is more.

    There may be more workers than the settings say. Then more jobs run than the settings have processes, and the window
    is JOBS_MESSAGES_PER_PROCESS for each running job.
    """
    window = max(_smallest_window(max(names)), math.ceil(pace.per_second))
    if messages < window:
        return window
    running = Job.objects.filter(status=Job.Status.RUNNING, queue__in=names).count()
    return max(window, settings.JOBS_MESSAGES_PER_PROCESS * running)


def _choose(queue: str, places: int, messages: Counter[Any]) -> list[Any]:
    """Return the primary keys of up to `places` due jobs, given how many messages each owner has in the broker."""
    # Owners who have messages in the broker come last, so perhaps they get no place. So look at one more owner for each
    # of them.
    owners = islice(_owners(queue), places + len(messages))
    turns = [(messages[owner], position, owner) for position, owner in enumerate(owners)]
    oldest = {owner: _oldest(queue, owner, places) for _, _, owner in turns}
    heapq.heapify(turns)
    chosen: list[Any] = []
    while turns and len(chosen) < places:
        count, position, owner = heapq.heappop(turns)
        for pk in islice(oldest[owner], 1):
            chosen.append(pk)
            _last_owner[queue] = owner
            heapq.heappush(turns, (count + 1, position, owner))
    return chosen


def _due(queue: str) -> QuerySet[Job]:
    return in_database().filter(queue=queue, run_after__lte=Now())


def _oldest(queue: str, owner: Any, places: int) -> Iterator[Any]:
    """Yield the primary keys of the owner's due jobs, oldest first. The first one costs a query."""
    yield from _due(queue).filter(owner=owner).order_by("run_after").values_list("pk", flat=True)[:places]


def _owners(queue: str) -> Iterator[Any]:
    """Yield each owner of a due job once, beginning after the owner of the job that was chosen last.

    Each step looks up the next owner in an index, however many jobs an owner has. Jobs without an owner count as jobs
    of the owner None, who comes after the owner with the highest id.
    """

    def ascending(rows: QuerySet[Job]) -> Iterator[Any]:
        ids = rows.order_by("owner_id", "run_after").values_list("owner_id", flat=True)
        owner = ids.first()
        while owner is not None:
            yield owner
            owner = ids.filter(owner_id__gt=owner).first()

    due, last = _due(queue), _last_owner.get(queue)
    yield from ascending(due.exclude(owner=None) if last is None else due.filter(owner_id__gt=last))
    if due.filter(owner=None).exists():
        yield None
    if last is not None:
        yield from ascending(due.filter(owner_id__lte=last))
