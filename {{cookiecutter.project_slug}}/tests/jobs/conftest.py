"""What the tests of jobs share."""

import signal
import threading

import pytest
from django.contrib.auth import get_user_model

from jobs import dispatcher, registry
from jobs.notifications import notify_dispatcher
from jobs.tasks import execute_job
from tests.jobs import kinds  # noqa: F401  the import registers the kinds
from tests.jobs.threads import in_threads


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    """Files go to a folder of the test's own."""
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture
def define(monkeypatch):
    """@job, for kinds that are gone after the test."""
    monkeypatch.setattr(registry, "_kinds", dict(registry._kinds))
    return registry.job


@pytest.fixture
def dispatching(worker):
    """A worker, and the dispatcher in a thread beside it: jobs run as they do in the running project."""
    stop = threading.Event()
    with in_threads(lambda: dispatcher.run(stop)):
        try:
            yield
        finally:
            stop.set()
            notify_dispatcher()  # otherwise it notices only after POLL_INTERVAL


@pytest.fixture
def published(monkeypatch) -> list[str]:
    """The ids of the jobs that were published, to a broker that drops the messages."""
    ids = []
    monkeypatch.setattr(execute_job, "apply_async", lambda arguments, **options: ids.append(arguments[0]))
    return ids


@pytest.fixture
def with_ctrl_c():
    """SIGINT raises KeyboardInterrupt, even if a shell started this process in the background and so made it ignore
    SIGINT.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def ada(db):
    return get_user_model().objects.create_user("ada")


@pytest.fixture
def grace(db):
    return get_user_model().objects.create_user("grace")


@pytest.fixture
def staff(db):
    return get_user_model().objects.create_superuser("staff")


@pytest.fixture
def browser(client, ada):
    """Ada's browser. She is logged in."""
    client.force_login(ada)
    return client
