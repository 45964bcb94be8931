"""The schedule, how only one of several beats sends it, and what happens to missed ticks:
ops/celery/beat/scheduler.py.
"""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection, connections
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from config.celery import app
from ops import heartbeat
from ops.celery.beat import leader_lock, scheduler
from ops.celery.beat.scheduler import BeatEntry, Scheduler
from tests.support.waiting import wait_for

needs_a_lock = pytest.mark.usefixtures("lock_in_postgresql")


class RecordingScheduler(Scheduler):
    """Collects what it sends. The broker does not accept an entry whose name is in `refused`."""

    def __init__(self, *args, **kwargs):
        self.sent = []
        self.refused = set()
        super().__init__(*args, **kwargs)

    def send_task(self, task, args, kwargs, **options):
        name = options["headers"]["periodic_task_name"]
        if name in self.refused:
            raise ConnectionRefusedError(f"{name}: the broker is down")
        self.sent.append((name, options))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.sent]

    @property
    def times(self) -> list[datetime]:
        return [datetime.fromisoformat(options["headers"]["scheduled_for"]) for _, options in self.sent]

    def send_all(self):
        """Run turns of the loop until nothing is due."""
        for _ in range(100):
            if self.tick() > 0:
                return
        raise AssertionError("something is still due after 100 turns")


@pytest.fixture
def beat(transactional_db, tmp_path, monkeypatch):
    """Return a function that makes a beat. The test runs the turns of its loop."""
    monkeypatch.setattr(heartbeat, "FOLDER", tmp_path)
    beats = []

    def make() -> RecordingScheduler:
        beats.append(RecordingScheduler(app=app))
        return beats[-1]

    yield make
    for one in beats:
        one.close()


def entry(name: str = "every minute", minutes_ago: float | None = 3.5, headers: str = "{}", **fields) -> PeriodicTask:
    """Make a row that last ran `minutes_ago`, with a period of one minute unless `fields` say otherwise.

    Its task does not exist, so it is sent by its name.
    """
    if not fields.keys() & {"interval", "crontab", "clocked"}:
        fields["interval"] = IntervalSchedule.objects.get_or_create(every=60, period="seconds")[0]
    if minutes_ago is not None:
        fields["last_run_at"] = timezone.now() - timedelta(minutes=minutes_ago)
    return PeriodicTask.objects.create(name=name, task="nobody.has.it", headers=headers, **fields)


CATCH_UP = '{"catch_up": true}'


def cut_off_the_leader():
    """Let PostgreSQL end the connection that holds the lock in the tests' database. The stack's own beat goes on."""
    with leader_lock.connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
            " WHERE locktype = 'advisory' AND granted AND datname = current_database()"
        )


def die(one: Scheduler):
    """Make a beat die: it saves nothing, and its connection ends."""
    one._lock.release()


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# --- The schedule ------------------------------------------------------------------------------------------------


def test_the_schedule_in_code_is_written_to_the_database(beat):
    beat().tick()

    for name, fields in app.conf.beat_schedule.items():
        row = PeriodicTask.objects.get(name=name)
        assert (row.task, row.expire_seconds) == (fields["task"], fields["options"]["expires"])


def test_an_entry_that_the_settings_no_longer_contain_is_deleted_and_not_sent(beat, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    schedule = {"removed": {"task": "nobody.has.it", "schedule": 60}}
    monkeypatch.setitem(app.conf, "beat_schedule", {**app.conf.beat_schedule, **schedule})
    one = beat()
    one.tick()
    die(one)
    PeriodicTask.objects.filter(name="removed").update(last_run_at=timezone.now() - timedelta(hours=1))
    monkeypatch.setitem(app.conf, "beat_schedule", {"stays": {"task": "nobody.has.it", "schedule": 60}})

    two = beat()
    two.send_all()

    assert "removed" not in two.names
    assert set(PeriodicTask.objects.values_list("name", flat=True)) - {"celery.backend_cleanup"} == {"stays"}
    assert "beat: removed: deleted, because CELERY_BEAT_SCHEDULE does not contain it any more" in caplog.messages
    assert not any("removed: 1 missed" in line for line in caplog.messages)


def test_an_entry_that_people_made_in_the_admin_is_never_deleted(beat, monkeypatch):
    entry("made in the admin", description="sends the weekly mail")
    monkeypatch.setitem(app.conf, "beat_schedule", {})

    beat().tick()

    assert PeriodicTask.objects.get(name="made in the admin").description == "sends the weekly mail"


def test_the_admin_says_which_entries_come_from_the_settings_and_keeps_their_own_description(beat, monkeypatch):
    fields = {"task": "nobody.has.it", "schedule": 60}
    schedule = {"plain": fields, "described": fields | {"description": "Sends the weekly mail."}}
    monkeypatch.setitem(app.conf, "beat_schedule", schedule)

    beat().tick()

    assert PeriodicTask.objects.get(name="plain").description == scheduler.FROM_SETTINGS
    described = PeriodicTask.objects.get(name="described").description
    assert described == f"Sends the weekly mail. {scheduler.FROM_SETTINGS}"


def test_the_admin_shows_the_schedule(beat, client):
    beat().tick()
    client.force_login(get_user_model().objects.create_superuser("staff"))

    page = client.get(reverse("admin:django_celery_beat_periodictask_changelist")).content.decode()

    for name in app.conf.beat_schedule:
        assert name in page


def test_beat_keeps_no_connection_because_checking_it_has_no_timeout(beat, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 60)
    monkeypatch.setitem(connection.settings_dict, "CONN_HEALTH_CHECKS", True)

    beat()

    assert connection.settings_dict["CONN_MAX_AGE"] == 0
    assert connection.settings_dict["CONN_HEALTH_CHECKS"] is False


def test_each_turn_of_beats_loop_says_that_it_is_alive_and_ready(beat):
    beat().tick()

    assert heartbeat.alive("beat").exists()
    assert heartbeat.ready("beat").exists()


def test_a_beat_whose_message_the_broker_does_not_accept_is_alive_but_not_ready_until_it_does(beat, monkeypatch):
    monkeypatch.setattr(scheduler, "RETRY_DELAY", 0.5)
    entry()
    one = beat()
    one.refused.add("every minute")
    one.send_all()
    heartbeat.end("beat")

    one.tick()
    assert heartbeat.alive("beat").exists()
    assert not heartbeat.ready("beat").exists()

    one.refused.clear()
    wait_for(lambda: one.tick() is not None and one.names, "the next try")
    assert heartbeat.ready("beat").exists()


def test_a_beat_that_ends_deletes_its_heartbeat_files(beat):
    one = beat()
    one.tick()

    one.close()

    assert not heartbeat.alive("beat").exists()
    assert not heartbeat.ready("beat").exists()


# --- Two beats ---------------------------------------------------------------------------------------------------


@needs_a_lock
def test_of_two_beats_one_sends(beat, caplog):
    caplog.set_level(logging.INFO)
    entry()
    first, second = beat(), beat()

    for _ in range(5):
        first.tick()
        second.tick()

    assert (first.names, second.names) == (["every minute"], [])
    assert [record.getMessage() for record in caplog.records].count("beat: another beat leads, this one waits") == 1


@needs_a_lock
def test_a_beat_that_waits_is_alive_and_ready_and_looks_again_within_5_seconds(beat):
    beat().tick()
    second = beat()
    heartbeat.end("beat")

    assert 0 < second.tick() <= 5
    assert heartbeat.alive("beat").exists()
    assert heartbeat.ready("beat").exists()


@needs_a_lock
def test_when_the_leaders_connection_is_lost_another_beat_leads(beat, caplog):
    first, second = beat(), beat()
    first.send_all()
    second.tick()
    entry()

    cut_off_the_leader()
    second.send_all()
    first.tick()
    first.tick()

    assert (first.names, second.names) == ([], ["every minute"])
    assert any("does not lead any more" in line for line in warnings(caplog))


@needs_a_lock
def test_a_beat_that_loses_the_lock_in_the_middle_of_its_turn_sends_nothing(beat, monkeypatch):
    one = beat()
    one.send_all()
    entry()
    monkeypatch.setattr(one, "schedule_changed", lambda: cut_off_the_leader() or True)
    one.tick()

    assert one.sent == []


@needs_a_lock
def test_a_beat_that_leads_again_sends_nothing_that_another_one_has_sent(beat, monkeypatch):
    # A new leader writes the settings' schedule to the database. That would hide a leader that forgets to read all
    # entries again, so this test turns the writing off.
    monkeypatch.setattr(DatabaseScheduler, "setup_schedule", lambda self: None)
    for name in ("a", "b"):
        entry(name)
    first, second = beat(), beat()
    first.tick()
    cut_off_the_leader()
    second.send_all()
    first.tick()
    second.close()

    first.send_all()

    assert sorted(first.names + second.names) == ["a", "b"]


@needs_a_lock
def test_a_beat_that_is_stopped_for_a_while_loses_the_lead_and_notices(beat, monkeypatch):
    monkeypatch.setattr(leader_lock, "IDLE_SESSION_TIMEOUT", 1)
    first, second = beat(), beat()
    first.send_all()
    entry()

    wait_for(lambda: second.tick() is not None and second.names, "the second beat's lead")
    first.tick()

    assert first.names == []


@needs_a_lock
def test_the_queries_of_beat_and_of_its_lock_have_a_timeout(beat, monkeypatch):
    limited = set()

    def note(execute, sql, params, many, context):
        limited.add(context["connection"])
        return execute(sql, params, many, context)

    monkeypatch.setattr(leader_lock, "abort_slow_query", note)
    one = beat()
    one.tick()

    assert limited == {one._lock._connection, connections["default"]}


def test_a_database_that_is_down_does_not_end_beat(beat, monkeypatch, caplog):
    entry()
    one = beat()

    def down(self):
        raise OperationalError("the database is down")

    with monkeypatch.context() as patch:
        patch.setattr(leader_lock.LeaderLock, "acquire", down)
        assert 0 < one.tick() <= 5
    assert heartbeat.alive("beat").exists()
    assert not heartbeat.ready("beat").exists()
    assert "the database is down" in warnings(caplog)[0]

    one.send_all()
    assert one.names == ["every minute"]


# --- Missed ticks ------------------------------------------------------------------------------------------------


def test_a_new_project_has_missed_nothing(beat, caplog):
    one = beat()
    one.send_all()

    assert (one.sent, warnings(caplog)) == ([], [])


@pytest.mark.parametrize("fields", [{}, {"start_time": datetime(2026, 1, 1, tzinfo=UTC)}])
def test_an_entry_that_never_ran_has_missed_nothing(beat, caplog, fields):
    row = entry(minutes_ago=None, headers=CATCH_UP, **fields)
    # As if the entry was made, or enabled again in the admin's list, while no beat was the leader.
    PeriodicTask.objects.filter(pk=row.pk).update(date_changed=timezone.now() - timedelta(hours=1))
    one = beat()
    one.send_all()

    assert (one.names, warnings(caplog)) == (["every minute"], [])
    assert timezone.now() - one.times[0] < timedelta(seconds=30)


def test_a_one_off_entry_has_missed_nothing(beat, caplog):
    entry(one_off=True, total_run_count=1)
    one = beat()
    one.send_all()

    assert (one.sent, warnings(caplog)) == ([], [])


def test_an_entry_that_was_just_made_is_not_sent_before_its_first_due_time(beat):
    entry(minutes_ago=None, headers=CATCH_UP)
    one = beat()
    one.send_all()

    assert one.sent == []


def test_a_new_leader_logs_what_was_missed_in_one_line_per_entry(beat, caplog):
    asks, another = entry("one that asks", headers=CATCH_UP), entry("another")
    entry("in time", minutes_ago=0.5)
    since = [each.last_run_at.isoformat(timespec="seconds") for each in (another, asks)]

    beat().send_all()

    assert sorted(warnings(caplog)) == [
        f"beat: another: 3 missed since {since[0]}, it is sent once now",
        f"beat: one that asks: 3 missed since {since[1]}, each is sent now, oldest first",
    ]


def test_missed_ticks_are_counted_up_to_a_limit(beat, caplog):
    entry(minutes_ago=60 * 24 * 365)

    beat().send_all()

    assert "more than 1000 missed" in warnings(caplog)[0]


@pytest.mark.django_db
def test_the_times_of_an_interval_are_counted():
    last = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
    missed_times = BeatEntry(entry(minutes_ago=None, last_run_at=last), app=app).missed_times

    assert missed_times(last + timedelta(seconds=59)) == []
    assert missed_times(last + timedelta(seconds=150)) == [last + timedelta(minutes=minute) for minute in (1, 2)]
    assert len(missed_times(last + timedelta(days=365))) == scheduler.MAX_MISSED + 1


@pytest.mark.django_db
@pytest.mark.parametrize(("zone", "hours"), [("UTC", [3, 3, 3]), ("Europe/Berlin", [2, 1, 1])])
def test_the_times_of_a_crontab_are_counted_in_its_time_zone(zone, hours):
    crontab = CrontabSchedule.objects.create(minute="15", hour="3", timezone=zone)
    last = datetime(2026, 3, 27, 12, tzinfo=UTC)
    missed_times = BeatEntry(entry(minutes_ago=None, crontab=crontab, last_run_at=last), app=app).missed_times

    # Berlin's clocks went forward on the 29th.
    expected = [datetime(2026, 3, day, hour, 15, tzinfo=UTC) for day, hour in zip((28, 29, 30), hours, strict=True)]
    assert missed_times(datetime(2026, 3, 30, 20, tzinfo=UTC)) == expected


@pytest.mark.django_db
def test_times_before_the_start_and_after_the_end_of_an_entry_are_not_missed():
    last = datetime(2026, 3, 1, 12, tzinfo=UTC)
    start, end = last + timedelta(minutes=10), last + timedelta(minutes=12)
    row = entry(minutes_ago=None, last_run_at=last, start_time=start, expires=end)
    missed_times = BeatEntry(row, app=app).missed_times

    assert missed_times(last + timedelta(hours=1)) == [start, start + timedelta(minutes=1), end]


def test_a_clocked_entry_is_sent_at_its_time_and_cannot_catch_up(beat, caplog):
    for name, hours in [("past", -1), ("future", 1)]:
        clocked = ClockedSchedule.objects.create(clocked_time=timezone.now() + timedelta(hours=hours))
        entry(name, minutes_ago=90, clocked=clocked, one_off=True, headers=CATCH_UP)
    PeriodicTask.objects.filter(name="future").update(one_off=False)  # an old row may look like this
    one = beat()
    one.tick()

    assert (one.names, warnings(caplog)) == (["past"], [])
    assert "scheduled_for" not in one.sent[0][1]["headers"]


def test_an_entry_with_catch_up_gets_a_message_for_each_missed_time(beat):
    row = entry(headers=CATCH_UP, expire_seconds=60)
    one = beat()
    one.send_all()

    assert one.times == [row.last_run_at + timedelta(minutes=minute) for minute in (1, 2, 3)]
    assert not any("expires" in options for _, options in one.sent)


def test_an_entry_in_code_may_set_catch_up(beat, monkeypatch):
    options = {"expires": 60, "headers": {"catch_up": True}}
    fields = {"task": "nobody.has.it", "schedule": 60, "options": options}
    monkeypatch.setitem(app.conf, "beat_schedule", {"in code": fields})
    BeatEntry.from_entry("in code", app=app, **fields)
    last = timezone.now() - timedelta(minutes=2.5)
    PeriodicTask.objects.update(last_run_at=last)
    one = beat()
    one.send_all()

    assert one.times == [last + timedelta(minutes=minute) for minute in (1, 2)]


def test_an_entry_without_catch_up_gets_one_message(beat):
    entry(expire_seconds=60)
    one = beat()
    one.send_all()

    assert one.names == ["every minute"]
    options = one.sent[0][1]
    assert options["expires"] == 60
    assert "scheduled_for" not in options["headers"]


def test_a_daily_entry_that_was_missed_hours_ago_is_sent(beat):
    ago = datetime.now(UTC) - timedelta(hours=7)
    entry(minutes_ago=8 * 60, crontab=CrontabSchedule.objects.create(minute=ago.minute, hour=ago.hour, timezone="UTC"))
    one = beat()
    one.send_all()

    assert one.names == ["every minute"]


def test_a_beat_that_dies_while_it_catches_up_leaves_the_rest_to_the_next_one(beat):
    row = entry(headers=CATCH_UP)
    first, second = beat(), beat()
    first.tick()
    die(first)
    second.send_all()

    minutes = [row.last_run_at + timedelta(minutes=minute) for minute in (1, 2, 3)]
    assert (first.times, second.times) == (minutes[:1], minutes[1:])


def test_a_change_of_the_schedule_sends_nothing_again(beat):
    entry()
    one = beat()
    one.send_all()
    entry("new", minutes_ago=1.5)
    one.send_all()
    one._heap = None  # makes beat build its heap again from the schedule in memory
    one.send_all()

    assert one.names == ["every minute", "new"]


def test_other_entries_get_their_turn_while_one_catches_up(beat):
    entry("catches up", minutes_ago=30.5, headers=CATCH_UP)
    entry("other")
    one = beat()
    for _ in range(5):
        one.tick()

    assert "other" in one.names


# --- The broker --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", ["{}", CATCH_UP])
def test_a_tick_that_the_broker_did_not_accept_is_sent_later(beat, monkeypatch, caplog, headers):
    row = entry(minutes_ago=1.5, headers=headers)
    one = beat()
    one.refused = {row.name}
    one.send_all()
    saved = PeriodicTask.objects.get(pk=row.pk)
    assert (one.sent, saved.last_run_at, saved.total_run_count) == ([], row.last_run_at, 0)
    assert any("the broker is down" in line for line in warnings(caplog))

    monkeypatch.setattr(scheduler, "RETRY_DELAY", 0)
    [refused] = [event.entry for event in one._heap if event.entry.name == row.name]
    one._retry_later(refused)
    one.refused = set()
    one.send_all()

    saved.refresh_from_db()
    assert (one.names, saved.total_run_count) == ([row.name], 1)
    assert saved.last_run_at > row.last_run_at


def test_an_entry_that_cannot_be_sent_does_not_hold_up_the_others(beat):
    for name in ("a", "b", "c"):
        entry(name)
    one = beat()
    one.refused = {"a", "b"}

    one.send_all()

    assert one.names == ["c"]


# --- In a task ---------------------------------------------------------------------------------------------------

seen = []


@app.task(bind=True, name="tests.note_scheduled_time")
def note_scheduled_time(self):
    seen.append((self.request.retries, self.request.get("scheduled_for")))
    if not self.request.retries:
        self.retry(countdown=0)


def test_a_task_finds_its_scheduled_time_in_its_message_and_so_does_its_retry(worker, beat):
    row = entry(headers=CATCH_UP, minutes_ago=1.5)
    PeriodicTask.objects.filter(pk=row.pk).update(task=note_scheduled_time.name)
    seen.clear()

    beat().send_all()
    wait_for(lambda: len(seen) == 2, "a run, and its retry")

    time = (row.last_run_at + timedelta(minutes=1)).isoformat()
    assert seen == [(0, time), (1, time)]
