"""What the tests of tasks, queues and dead letters share."""

from io import StringIO

import pytest
from django.core.management import call_command
from kombu import Exchange, Queue

from config.celery import app
from tests.support.waiting import wait_for


@pytest.fixture
def command():
    """Return a function that runs `manage.py dead_letters` and returns its output."""

    def run(*arguments: str) -> str:
        out = StringIO()
        call_command("dead_letters", *arguments, stdout=out)
        return out.getvalue()

    return run


@pytest.fixture
def dead_letter(command):
    """Return a function that waits for the dead letter with this ID and returns its line."""

    def wait(task_id: str) -> str:
        def line():
            return "".join(line for line in command().splitlines() if line.startswith(task_id))

        return wait_for(line, f"the dead letter {task_id}", seconds=20)

    return wait


@pytest.fixture
def extra():
    """A queue that only the test has. `manage.py declare_queues` declares it too. It is deleted at the end."""
    queue = Queue("declared-by-a-test", Exchange("declared-by-a-test", type="topic"), routing_key="declared-by-a-test")
    queue.queue_arguments = app.conf.task_queues[0].queue_arguments
    app.amqp.queues.add(queue)
    yield queue
    del app.amqp.queues[queue.name]
    with app.connection_for_write() as connection:
        queue(connection).delete()
