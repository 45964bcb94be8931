"""The Celery app as the project configures it: config/celery.py and config/settings/celery.py."""

import pytest
from celery import shared_task
from celery.exceptions import QueueNotFound
from kombu.utils.imports import symbol_by_name

from config.celery import app


@shared_task
def anything() -> None:
    """A task that is never run."""


def test_a_misspelt_queue_is_an_error_for_the_sender():
    with pytest.raises(QueueNotFound):
        anything.apply_async(queue="defualt")


def test_tasks_are_not_executed_in_the_process_that_sends_them():
    assert not app.conf.task_always_eager


def test_a_shared_task_belongs_to_this_app_and_has_the_base_class_of_its_broker():
    assert anything.app is app
    assert isinstance(anything, symbol_by_name(app.task_cls))


def test_every_entry_of_the_schedule_names_a_task_and_expires():
    app.loader.import_default_modules()

    for name, fields in app.conf.beat_schedule.items():
        assert fields["task"] in app.tasks, name
        assert fields["options"]["expires"], name
