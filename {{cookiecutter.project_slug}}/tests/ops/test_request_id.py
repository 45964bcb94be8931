"""The ID that a request and its tasks share: ops/request_id.py."""

import pytest
from celery import shared_task
from celery.signals import before_task_publish, task_postrun, task_prerun

from ops.request_id import REQUEST_ID


@pytest.fixture
def in_request():
    """Set the request ID to request-1."""
    token = REQUEST_ID.set("request-1")
    yield
    REQUEST_ID.reset(token)


@shared_task
def request_id() -> str:
    """Return the ID of the request that the task works for."""
    return REQUEST_ID.get()


def publish(headers: dict) -> dict:
    """Return these headers as they are after the receivers of before_task_publish have changed them."""
    before_task_publish.send(
        sender="any", body=(), exchange="", routing_key="", headers=headers, properties={}, declare=[], retry_policy={}
    )
    return headers


def test_after_a_request_its_id_is_forgotten(client):
    client.get("/livez")

    assert REQUEST_ID.get() == ""


def test_a_message_takes_the_id_of_its_request_along(in_request):
    assert publish({"id": "1"}) == {"id": "1", "request_id": "request-1"}


def test_a_message_that_has_an_id_keeps_it(in_request):
    assert publish({"request_id": "request-0"}) == {"request_id": "request-0"}


def test_a_message_that_belongs_to_no_request_gets_no_id():
    assert publish({"id": "1"}) == {"id": "1"}


def test_a_task_in_its_senders_process_works_for_the_same_request(in_request):
    assert request_id.apply().get() == "request-1"
    assert REQUEST_ID.get() == "request-1"


def test_a_worker_forgets_the_request_after_its_task():
    request_id.push_request(is_eager=False, request_id="request-1")
    try:
        task_prerun.send(sender=request_id, task=request_id)
        assert REQUEST_ID.get() == "request-1"

        task_postrun.send(sender=request_id, task=request_id)
        assert REQUEST_ID.get() == ""
    finally:
        request_id.pop_request()
