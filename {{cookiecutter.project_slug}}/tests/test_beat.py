"""The schedule in code and in the database."""

import pytest
from django.contrib.auth import get_user_model
from django_celery_beat.models import PeriodicTask

from config.celery import app
from ops import heartbeat
from ops.scheduler import Scheduler


@pytest.mark.django_db(transaction=True)
def test_the_schedule_in_code_is_written_to_the_database():
    Scheduler(app=app)

    for name, entry in app.conf.beat_schedule.items():
        row = PeriodicTask.objects.get(name=name)
        assert (row.task, row.expire_seconds) == (entry["task"], entry["options"]["expires"])


@pytest.mark.django_db(transaction=True)
def test_the_admin_shows_the_schedule(client):
    Scheduler(app=app)
    client.force_login(get_user_model().objects.create_superuser("staff"))

    page = client.get("/admin/django_celery_beat/periodictask/").content.decode()

    for name in app.conf.beat_schedule:
        assert name in page


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
