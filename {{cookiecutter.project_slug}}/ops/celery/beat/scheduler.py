"""Beat's scheduler. It is django-celery-beat's, which keeps the schedule in the database, with three additions.

Several beats may run at the same time; only the one that holds the lock sends tasks. No tick is lost silently: a tick
is the message for one time of the schedule. It is missed if beat was down at that time or if the broker did not accept
the message. The log says what was missed, and an entry can ask for all its missed ticks (`catch_up`). And an entry that
is removed from the settings is deleted from the database.
"""

import heapq
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import Any

from celery import schedules
from celery.beat import SchedulingError, event_t
from django.db import Error, connection
from django.db.models import QuerySet
from django.utils import timezone
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from ops import heartbeat
from ops.celery.beat import leader_lock

logger = logging.getLogger(__name__)

LOCK = "beat"  # the lock's name; locks belong to one database, so other projects cannot take it
STANDBY_INTERVAL = 2.0  # seconds after which a beat that does not lead asks for the lock again
MAX_SLEEP = 5.0  # the leader sleeps at most this long (seconds) before it looks at the lock and the schedule again
RETRY_DELAY = 5.0  # seconds until a tick that the broker did not accept is tried again
# Ends the description of each entry from the settings, so that beat knows which entries it may delete.
FROM_SETTINGS = "From CELERY_BEAT_SCHEDULE in the settings: beat deletes this entry when it is removed there."
BACKEND_CLEANUP = "celery.backend_cleanup"  # Celery's own entry, which deletes expired results; no setting names it
MAX_MISSED = 1000  # stop counting an entry's missed ticks here: a year of one tick per second would take minutes


class BeatEntry(ModelEntry):
    """A row of the schedule.

    The header `catch_up` (in code or in the admin) asks for one message for every time of the schedule, however late.
    Each of these messages has a header `scheduled_for`, which contains its time in ISO 8601 and UTC. The task reads it
    as `self.request.get("scheduled_for")`, also after a retry. These messages do not expire. Only intervals and
    crontabs can catch up.
    """

    @classmethod
    def _unpack_options(cls, expires: Any = None, **options: Any) -> dict[str, Any]:
        # django-celery-beat expects `expire_seconds`, and silently ignores Celery's name for it, `expires`.
        return super()._unpack_options(**{"expire_seconds": expires, **options})

    @classmethod
    def _unpack_fields(cls, schedule: Any, description: str = "", **entry: Any) -> dict[str, Any]:
        return super()._unpack_fields(schedule, description=f"{description} {FROM_SETTINGS}".strip(), **entry)

    def __init__(self, model: Any, app: Any = None) -> None:
        self.never_ran = not model.last_run_at  # also after it was disabled, because that deletes its last_run_at
        super().__init__(model, app=app)

    @property
    def has_due_times(self) -> bool:
        """Tell whether due_times() works for this kind of schedule."""
        return isinstance(self.schedule, (schedules.schedule, schedules.crontab))

    @property
    def catches_up(self) -> bool:
        """Tell whether the entry gets a message for every time of its schedule, however late."""
        return self.has_due_times and bool(self.options["headers"].get("catch_up"))

    def due_times(self) -> Iterator[datetime]:
        """Yield the times at which the entry is due after its last run: oldest first, in UTC, without end.

        An entry that never ran catches up nothing: if more than one of its times has passed, the current time is
        yielded first, instead of them.
        """
        start, now = self.model.start_time, timezone.now()
        is_first = start and self.last_run_at < start  # the first run is due at `start`, whatever the period is
        time = start.astimezone(UTC) if is_first else self._next_after(self.last_run_at)
        if self.never_ran and self._next_after(time) <= now:
            time = now
        while True:
            yield time
            time = self._next_after(time)

    def _next_after(self, time: datetime) -> datetime:
        if isinstance(self.schedule, schedules.crontab):
            start, to_the_next, _ = self.schedule.remaining_delta(time)
            return (start + to_the_next).astimezone(UTC)
        return time.astimezone(UTC) + self.schedule.run_every

    def missed_times(self, now: datetime) -> list[datetime]:
        """Return the due times from the last run until `now`, oldest first, but not more than MAX_MISSED + 1."""
        until = min(now, self.model.expires or now)
        return list(islice(takewhile(lambda time: time <= until, self.due_times()), MAX_MISSED + 1))

    def is_due(self) -> schedules.schedstate:
        """Return whether the entry is due, and in how many seconds to look again."""
        state = super().is_due()
        if state.is_due and self.catches_up:
            following = next(islice(self.due_times(), 1, None))
            return schedules.schedstate(True, max(0.0, (following - timezone.now()).total_seconds()))
        return state

    def __next__(self) -> "BeatEntry":
        """Return the entry as it is after a tick.

        An entry that catches up has run for its oldest due time, and is due again for the one after it. Any other entry
        has run now, and is not due for the times that it missed.
        """
        run_at = next(self.due_times()) if self.catches_up else None
        entry = super().__next__()
        if run_at:
            entry.model.last_run_at = entry.last_run_at = run_at
        return entry


class Scheduler(DatabaseScheduler):
    """Sends the entries that are due while it holds the lock, and touches its heartbeat files in the turns of its loop.

    It asks for the lock before each message. So if a beat loses the lock, because it was stopped for a while or its
    network was cut, at most one message is sent twice: this beat was just about to send it, and the new leader sends it
    too.
    """

    Entry = BeatEntry
    # With None, beat publishes as `delay()` does, so a publish to a broker that is down fails after its timeouts.
    # Beat's own producer would wait for the broker without end, and keep the lock meanwhile.
    producer = None
    # Attributes of Celery and django-celery-beat, which have no types.
    _heap: Any
    old_schedulers: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Keep no connection to the database between two turns: Django would check a kept connection with a query that
        # has no timeout, whereas all others have one (leader_lock.abort_slow_query).
        connection.settings_dict.update(CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=False)
        self._lock = leader_lock.LeaderLock(LOCK)
        self._leads = False
        self._standby_logged = False
        self._unsent: BeatEntry | None = None
        self._broker_accepts = True
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Do nothing yet: a beat writes the schedule in code to the database when it becomes the leader."""

    def enabled_models_qs(self) -> QuerySet:
        """Return all enabled rows.

        django-celery-beat leaves out crontabs whose hour is more than two hours away, so a missed one might not be sent
        until two hours before its next time. Returning all of them means that all rows are read and kept in memory.
        """
        return self.Model.objects.enabled()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send one message that is due, if this beat is the leader.

        Beat is alive while its loop turns. It is ready while the database answers and the broker has accepted the last
        message. Return the seconds until the next turn, at most MAX_SLEEP.
        """
        heartbeat.alive("beat").touch()
        try:
            with connection.execute_wrapper(leader_lock.abort_slow_query):
                if not self._is_leader():
                    heartbeat.ready("beat").touch()
                    return STANDBY_INTERVAL
                self._unsent = None
                pause = super().tick(*args, **kwargs)
        except Error as error:
            then = "this beat does not lead any more and tries again" if self._leads else "trying again"
            logger.warning("beat: the connection to the database failed, %s: %s", then, error)
            self._step_down()
            return STANDBY_INTERVAL
        if self._broker_accepts:
            heartbeat.ready("beat").touch()
        if self._unsent:
            self._retry_later(self._unsent)
        return min(pause, MAX_SLEEP)

    def close(self) -> None:
        """Save the last runs, and let another beat lead."""
        try:
            super().close()
        finally:
            self._lock.release()
            heartbeat.end("beat")

    # --- Leading -------------------------------------------------------------------------------------------------

    def _is_leader(self) -> bool:
        if not self._lock.acquire():
            if not self._standby_logged:
                logger.info("beat: another beat leads, this one waits")
                self._standby_logged = True
            return False
        if not self._leads:
            self._become_leader()
        return True

    def _become_leader(self) -> None:
        logger.info("beat: this beat leads")
        self._delete_removed()
        self._log_missed()  # before setup_schedule() changes entries: missed times follow from the old schedule
        # Read the schedule again: another beat may have led meanwhile, and the last runs in memory would be outdated.
        self._initial_read, self._heap, self.old_schedulers = True, None, None
        super().setup_schedule()
        self._leads = True

    def _delete_removed(self) -> None:
        """Delete the entries that the settings created and no longer contain. Otherwise they would be sent for ever."""
        in_code = {*self.app.conf.beat_schedule, BACKEND_CLEANUP}
        for row in self.Model.objects.filter(description__endswith=FROM_SETTINGS).exclude(name__in=in_code):
            row.delete()
            logger.info("beat: %s: deleted, because CELERY_BEAT_SCHEDULE does not contain it any more", row.name)

    def _step_down(self) -> None:
        self._leads = self._standby_logged = False
        self._broker_accepts = True  # forget an earlier refusal, because another beat may have sent messages since
        self._lock.release()
        connection.close()

    def _log_missed(self) -> None:
        now = timezone.now()
        for row in self.Model.objects.enabled().filter(one_off=False):
            try:
                entry = self.Entry(row, app=self.app)
                missed = entry.missed_times(now) if entry.has_due_times else []
            except Exception:  # an unreadable row, or a schedule without a next time, must not hold up the other rows
                logger.exception("beat: %s: cannot tell what it missed", row.name)
                continue
            if missed:
                count = f"more than {MAX_MISSED}" if len(missed) > MAX_MISSED else len(missed)
                then = "each is sent now, oldest first" if entry.catches_up else "it is sent once now"
                since = entry.last_run_at.astimezone(UTC).isoformat(timespec="seconds")
                logger.warning("beat: %s: %s missed since %s, %s", entry.name, count, since, then)

    def reserve(self, entry: BeatEntry) -> BeatEntry:
        """Return the entry as it is after the tick that is about to be sent. Raises django.db.Error if the lock is
        lost.
        """
        # Reading the schedule may have taken seconds, so confirm the lock again. This costs one query per message.
        self._lock.acquire()
        return super().reserve(entry)

    # --- Ticks that the broker does not accept -------------------------------------------------------------------

    def apply_async(self, entry: BeatEntry, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        """Publish the message of an entry, and return its result.

        If the broker does not accept the message, return None. The entry then stays as it was, and is tried again after
        RETRY_DELAY.
        """
        if entry.catches_up:
            headers = {**entry.options["headers"], "scheduled_for": next(entry.due_times()).isoformat()}
            entry.options = {**entry.options, "headers": headers}
            entry.options.pop("expires", None)
        # Save the run after the broker has accepted the message, never before. If beat is killed in between, it sends
        # the message again.
        self._dirty.discard(entry.name)
        try:
            result = super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        except SchedulingError as error:
            logger.warning("beat: trying again in %d seconds: %s", RETRY_DELAY, error)
            entry.model.last_run_at, entry.model.total_run_count = entry.last_run_at, entry.total_run_count
            self._unsent = entry
            self._broker_accepts = False
            return None
        self._broker_accepts = True
        # django-celery-beat keeps the schedule in memory as it was when it was read. When a row changes, it may plan
        # from that copy and send again what has just been sent, so update the copy.
        self._schedule[entry.name] = self.old_schedulers[entry.name] = self.Entry(entry.model, app=self.app)
        self._dirty.add(entry.name)
        self.sync()
        return result

    def _retry_later(self, entry: BeatEntry) -> None:
        """Let `entry` wait for RETRY_DELAY, so that other entries get their turn.

        Celery has already put the entry back into its heap, at its next time.
        """
        self._heap = [event for event in self._heap if event.entry.name != entry.name]
        self._heap.append(event_t(self._when(entry, RETRY_DELAY), 5, entry))
        heapq.heapify(self._heap)
