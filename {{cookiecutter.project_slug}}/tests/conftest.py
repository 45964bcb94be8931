"""What the tests of several folders share."""

from threading import Timer

import pytest
from celery.contrib.testing.worker import start_worker
from django.db import connection
from django.db.utils import ConnectionHandler

from config.celery import app
from tests.support import servers


@pytest.fixture(scope="session")
def _worker(django_db_setup, django_db_blocker):
    with app.connection_for_write() as connection:
        for queue in app.conf.task_queues:
            queue(connection).declare()
            queue(connection).purge()  # an interrupted run may have left messages
    with django_db_blocker.unblock(), start_worker(app, perform_ping_check=False) as worker:
        yield worker
        # A worker that is told to end still waits for two messages, up to two seconds for each. These two pings arrive
        # soon after it is told, so it ends at once.
        for seconds in (0.1, 0.3):
            Timer(seconds, app.control.ping, kwargs={"timeout": 0}).start()


@pytest.fixture
def worker(_worker, transactional_db):
    """A real worker in a thread, which takes messages from the broker as the worker service does.

    The rows of the test are committed, so that the worker sees them.
    """
    return _worker


@pytest.fixture(scope="session")
def _postgresql():
    with servers.postgresql() as database:
        yield database


@pytest.fixture
def postgresql(request, django_db_blocker):
    """A separate connection to a real PostgreSQL: the stack's in `make test-docker`, otherwise a server that the tests
    start.
    """
    if connection.vendor == "postgresql":
        request.getfixturevalue("django_db_setup")
        database = connection.copy()
    else:
        database = ConnectionHandler({"default": request.getfixturevalue("_postgresql")})["default"]
    with django_db_blocker.unblock():
        yield database
        database.close()
