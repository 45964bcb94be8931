"""`manage.py declare_queues`: ops/management/commands/declare_queues.py."""

import pytest
from django.core.management import CommandError, call_command
from kombu.exceptions import ChannelError, OperationalError

from config.celery import app
from tests.support.waiting import wait_for


def test_each_queue_and_its_binding_exists_afterwards_and_may_be_declared_again(extra):
    call_command("declare_queues")
    call_command("declare_queues")

    with app.connection_for_write() as connection, connection.Producer(auto_declare=False) as producer:
        producer.publish({}, exchange=extra.exchange.name, routing_key=extra.routing_key)
    with app.connection_for_write() as connection:
        wait_for(lambda: extra(connection).get(no_ack=True), "the message")


@pytest.mark.parametrize(
    ("error", "said"),
    [(OperationalError("down"), "does not answer: down"), (ChannelError("password"), "refuses: password")],
    ids=["down", "wrong password"],
)
def test_a_broker_that_is_down_or_refuses_us_is_reported_in_one_line(monkeypatch, error, said):
    def refuse(*args, **kwargs):
        raise error

    monkeypatch.setattr("kombu.Connection.ensure_connection", refuse)

    with pytest.raises(CommandError, match=rf"^the broker .* {said}$"):
        call_command("declare_queues")
