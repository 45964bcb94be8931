"""The schedule in code and in the database."""

import pytest
from django_celery_beat.models import PeriodicTask

from config.celery import app
from ops import heartbeat
from ops.scheduler import Scheduler


@pytest.mark.django_db(transaction=True)
def test_the_schedule_in_code_is_written_to_the_database():
    Scheduler(app=app)

    tick = PeriodicTask.objects.get(name="tick")
    assert (tick.task, str(tick.interval), tick.expire_seconds) == ("jobs.tasks.tick", "every 30 seconds", 30)


def test_every_entry_names_a_task_and_expires():
    app.loader.import_default_modules()

    for name, entry in app.conf.beat_schedule.items():
        assert entry["task"] in app.tasks, name
        assert entry["options"]["expires"], name


@pytest.mark.django_db(transaction=True)
def test_each_turn_of_beats_loop_touches_its_heartbeat(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT", tmp_path / "beat.alive")

    Scheduler(app=app, lazy=True).tick()

    assert heartbeat.BEAT.exists()
