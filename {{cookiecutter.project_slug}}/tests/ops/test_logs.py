"""Log records name the request and the task that they belong to: ops/logs.py."""

import logging

import pytest
from celery import shared_task

from ops.logs import ContextFilter
from ops.request_id import REQUEST_ID


@pytest.fixture
def fields():
    """Return a function that returns what the filter adds to a record with these attributes."""

    def added(**attributes) -> dict:
        record = logging.makeLogRecord(attributes)
        before = set(vars(record))
        assert ContextFilter().filter(record)
        return {name: value for name, value in vars(record).items() if name not in before}

    return added


@shared_task
def add_fields(fields):
    """Return what the filter adds to a record in a task."""
    return fields()


def test_a_record_outside_of_requests_and_tasks_stays_as_it_is(fields):
    assert fields() == {}


def test_a_record_in_a_request_has_its_id(fields):
    token = REQUEST_ID.set("request-1")
    try:
        assert fields() == {"request_id": "request-1"}
    finally:
        REQUEST_ID.reset(token)


def test_a_record_in_a_task_has_its_id_and_name(fields):
    sent = add_fields.apply([fields], task_id="task-1")

    assert sent.get() == {"task_id": "task-1", "task_name": add_fields.name}


def test_a_record_about_a_task_in_the_workers_main_process_has_its_id_and_name(fields):
    data = {"id": "task-1", "name": "app.tasks.one", "args": "()"}

    assert fields(data=data) == {"task_id": "task-1", "task_name": "app.tasks.one"}


def test_data_that_is_not_celerys_adds_nothing(fields):
    assert fields(data="some text") == {}
