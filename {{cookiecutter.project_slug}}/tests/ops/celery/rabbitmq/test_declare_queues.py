"""What `manage.py declare_queues` does for RabbitMQ: ops/management/commands/declare_queues.py."""

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from config.celery import app
from tests.support.waiting import wait_for

pytestmark = pytest.mark.skipif(
    app.connection_for_write().transport.driver_type != "amqp", reason="only RabbitMQ keeps arguments of queues"
)


def test_a_countdown_finds_its_way_to_a_queue_that_no_worker_has_bound(extra):
    call_command("declare_queues")

    with app.connection_for_write() as connection:
        app.send_task("nobody.has.it", queue=extra.name, countdown=1, connection=connection)

    with app.connection_for_write() as connection:
        wait_for(lambda: extra(connection).get(no_ack=True), "the message")


def test_dead_letters_have_a_queue_before_the_first_worker_runs():
    with app.connection_for_write() as connection:
        settings.DEAD_LETTER_QUEUE(connection).delete()

    call_command("declare_queues")

    with app.connection_for_write() as connection:
        settings.DEAD_LETTER_QUEUE(connection).queue_declare(passive=True)


def test_if_a_queue_exists_with_other_arguments_the_error_names_it_and_says_what_to_do(extra):
    call_command("declare_queues")
    extra.queue_arguments = {**extra.queue_arguments, "x-delivery-limit": 3}

    with pytest.raises(CommandError, match=r"declared-by-a-test can't be declared: .*x-delivery-limit") as error:
        call_command("declare_queues")

    assert "empty and delete the queue" in str(error.value)
