"""What the tests of several folders share."""

import pytest
from celery.contrib.testing.worker import start_worker

from config.celery import app


@pytest.fixture(scope="session")
def _worker(django_db_setup, django_db_blocker):
    with app.connection_for_write() as connection:
        for queue in app.conf.task_queues:
            queue(connection).declare()
            queue(connection).purge()  # an interrupted run may have left messages
    with django_db_blocker.unblock(), start_worker(app, perform_ping_check=False) as worker:
        yield worker


@pytest.fixture
def worker(_worker, transactional_db):
    """A real worker in a thread, which takes messages from the broker as the worker service does.

    The rows of the test are committed, so that the worker sees them.
    """
    return _worker
