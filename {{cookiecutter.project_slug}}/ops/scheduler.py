"""Beat's scheduler: django-celery-beat's, of which several may run and one sends, and which loses no tick silently.

A tick is a message for a time of the schedule. Beat may have been away at that time, or the broker may not have taken
the message. The log says so, and an entry decides whether it gets all its ticks all the same (catch_up).
"""

import heapq
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice, takewhile

from celery import schedules
from celery.beat import SchedulingError, event_t
from django.db import Error, connection
from django.utils import timezone
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from ops import heartbeat, leader

logger = logging.getLogger(__name__)

LOCK = "ops.scheduler"  # the name of the lock; it belongs to one database, so projects can't meet in it
PAUSE = 2.0  # seconds between two looks at the lock of a beat that waits for it
TURN = 5.0  # seconds that a beat that leads sleeps at most, so that it looks at the lock and the schedule
RETRY = 5.0  # seconds until a tick that the broker did not take is tried again
COUNT_AT_MOST = 1000  # missed ticks of an entry; a year away, with a tick a second, would be counted for minutes


class Entry(ModelEntry):
    """A row of the schedule.

    The header `catch_up` (in code or in the admin) asks for a message for each time of the schedule, however late. Each
    has a header `scheduled_for`, its time in ISO 8601 and UTC, which the task reads, after a retry too, as
    `self.request.get("scheduled_for")`. Such a message does not expire. Only intervals and crontabs can be caught up.
    """

    @classmethod
    def _unpack_options(cls, expires=None, **options):
        # django-celery-beat knows Celery's `expires` (seconds) as `expire_seconds` and drops the other name silently.
        return super()._unpack_options(**{"expire_seconds": expires, **options})

    def __init__(self, model, app=None):
        self.never_ran = not model.last_run_at  # or was switched off since
        super().__init__(model, app=app)

    @property
    def is_countable(self) -> bool:
        """Can times() say when the entry is due?"""
        return isinstance(self.schedule, (schedules.schedule, schedules.crontab))

    @property
    def catches_up(self) -> bool:
        """Does the entry get a message for each time, however late?"""
        return self.is_countable and bool(self.options["headers"].get("catch_up"))

    def times(self) -> Iterator[datetime]:
        """Yield the times after the last run at which a countable entry is due: oldest first, in UTC, without end. An
        entry that never ran has missed nothing: if more than one time has gone by, the first one is now.
        """
        start, now = self.model.start_time, timezone.now()
        is_first = start and self.last_run_at < start  # that one is due at `start`, whatever its period
        time = start.astimezone(UTC) if is_first else self._time_after(self.last_run_at)
        if self.never_ran and self._time_after(time) <= now:
            time = now
        while True:
            yield time
            time = self._time_after(time)

    def _time_after(self, time: datetime) -> datetime:
        if isinstance(self.schedule, schedules.crontab):
            start, to_the_next, _ = self.schedule.remaining_delta(time)
            return (start + to_the_next).astimezone(UTC)
        return time.astimezone(UTC) + self.schedule.run_every

    def missed(self, now: datetime) -> list[datetime]:
        """Return the times since the last run until `now`, oldest first, COUNT_AT_MOST and one more at most."""
        until = min(now, self.model.expires or now)
        return list(islice(takewhile(lambda time: time <= until, self.times()), COUNT_AT_MOST + 1))

    def is_due(self):
        """Return, as Celery's own: is it due, and how many seconds later to look again."""
        state = super().is_due()
        if state.is_due and self.catches_up:
            following = next(islice(self.times(), 1, None))
            return schedules.schedstate(True, max(0.0, (following - timezone.now()).total_seconds()))
        return state

    def __next__(self):
        """Return the entry as it is after a tick. One that catches up has run for its oldest time, and is due again for
        the one after it; any other has run now, and what it missed is past.
        """
        run_at = next(self.times()) if self.catches_up else None
        entry = super().__next__()
        if run_at:
            entry.model.last_run_at = entry.last_run_at = run_at
        return entry


class Scheduler(DatabaseScheduler):
    """Sends what is due while it holds the lock, and touches heartbeat.BEAT at each turn of beat's loop.

    Before each message it asks for the lock. So a beat that lost it (it was stopped for a while, its network was cut)
    sends one message twice at most: the one it was about to send.
    """

    Entry = Entry
    # Messages go out as those of `delay()` do: if the broker is away, that is an error within the limits for a publish.
    # Beat's own producer would wait for the broker without end, and keep the lock meanwhile.
    producer = None

    def __init__(self, *args, **kwargs):
        # Of a connection that is kept Django asks whether it still lives, and that question has no limit, as the others
        # have (leader.give_up_waiting). So beat keeps none.
        connection.settings_dict.update(CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=False)
        self._lock = leader.Lock(LOCK)
        self._leads = False
        self._said_that_it_waits = False
        self._unsent = None
        super().__init__(*args, **kwargs)

    def setup_schedule(self):
        """Do nothing yet: who leads writes the schedule in code to the database, when it begins to lead."""

    def enabled_models_qs(self):
        """Return all rows that are switched on. django-celery-beat leaves out crontabs that are more than two hours
        away: one that was missed would be sent two hours before its next time. Price: all rows are read, and kept.
        """
        return self.Model.objects.enabled()

    def tick(self, *args, **kwargs):
        """Send one message that is due, if this beat leads. Returns the seconds until the next turn, TURN at most."""
        heartbeat.BEAT.touch()
        try:
            with connection.execute_wrapper(leader.give_up_waiting):
                if not self._is_leader():
                    return PAUSE
                self._unsent = None
                pause = super().tick(*args, **kwargs)
        except Error as error:
            then = "this beat does not lead any more, and tries again" if self._leads else "trying again"
            logger.warning("beat: the connection to the database failed, %s: %s", then, error)
            self._step_down()
            return PAUSE
        if self._unsent:
            self._put_back(self._unsent)
        return min(pause, TURN)

    def close(self):
        """Save what is to be saved, and let another beat lead."""
        try:
            super().close()
        finally:
            self._lock.release()

    # --- Who leads -----------------------------------------------------------------------------------------------

    def _is_leader(self) -> bool:
        if not self._lock.hold():
            if not self._said_that_it_waits:
                logger.info("beat: another beat leads, this one waits")
                self._said_that_it_waits = True
            return False
        if not self._leads:
            self._begin_to_lead()
        return True

    def _begin_to_lead(self):
        logger.info("beat: this beat leads")
        self._report_missed()  # first: the times that were missed are those of the schedule as it was
        # Read anew: another beat may have led, and the last runs in memory are old then.
        self._initial_read, self._heap, self.old_schedulers = True, None, None
        super().setup_schedule()
        self._leads = True

    def _step_down(self):
        self._leads = self._said_that_it_waits = False
        self._lock.release()
        connection.close()

    def _report_missed(self):
        now = timezone.now()
        for row in self.Model.objects.enabled().filter(one_off=False):
            try:
                entry = self.Entry(row, app=self.app)
                missed = entry.missed(now) if entry.is_countable else []
            except Exception:  # a row that can't be read, or a time that never comes: the other rows go on
                logger.exception("beat: %s: what it missed can't be told", row.name)
                continue
            if missed:
                many = f"more than {COUNT_AT_MOST}" if len(missed) > COUNT_AT_MOST else len(missed)
                then = "each is sent now, oldest first" if entry.catches_up else "it is sent once now"
                since = entry.last_run_at.astimezone(UTC).isoformat(timespec="seconds")
                logger.warning("beat: %s: %s missed since %s, %s", entry.name, many, since, then)

    def reserve(self, entry):
        """Return the entry as it is after the tick that is sent next. Raises django.db.Error if the lock is lost."""
        # Reading the schedule may have taken seconds since the turn began. Price: one more question for each message.
        self._lock.hold()
        return super().reserve(entry)

    # --- What the broker does not take ---------------------------------------------------------------------------

    def apply_async(self, entry, producer=None, advance=True, **kwargs):
        """Publish the message of an entry. Returns its result; None if the broker did not take it: the entry is as it
        was before, and is tried again after RETRY seconds.
        """
        if entry.catches_up:
            headers = {**entry.options["headers"], "scheduled_for": next(entry.times()).isoformat()}
            entry.options = {**entry.options, "headers": headers}
            entry.options.pop("expires", None)
        # The run is saved after the broker has the message, never before. Killed in between, beat sends it again.
        self._dirty.discard(entry.name)
        try:
            result = super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        except SchedulingError as error:
            logger.warning("beat: trying again in %d seconds: %s", RETRY, error)
            entry.model.last_run_at, entry.model.total_run_count = entry.last_run_at, entry.total_run_count
            self._unsent = entry
            return None
        # django-celery-beat keeps the schedule in memory as it was read. When a row changes it may plan from that, and
        # would find due what has just been sent.
        self._schedule[entry.name] = self.old_schedulers[entry.name] = self.Entry(entry.model, app=self.app)
        self._dirty.add(entry.name)
        self.sync()
        return result

    def _put_back(self, entry):
        """Let `entry` wait for RETRY seconds; Celery has it wait for its next time. Others get their turn before it."""
        self._heap = [event for event in self._heap if event.entry.name != entry.name]
        self._heap.append(event_t(self._when(entry, RETRY), 5, entry))
        heapq.heapify(self._heap)
