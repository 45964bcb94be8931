"""What tests of jobs share."""

import threading

import pytest

from jobs import registry, sweep
from tests.jobs.threads import in_threads


@pytest.fixture
def sweeping(worker):
    """A worker, and the sweep in a thread beside it: jobs are worked on as in the running project."""
    stop = threading.Event()
    with in_threads(lambda: sweep.run(stop)):
        try:
            yield
        finally:
            stop.set()


@pytest.fixture
def define(monkeypatch):
    """Return @job; the kinds that the test makes with it are gone afterwards."""
    monkeypatch.setattr(registry, "_kinds", dict(registry._kinds))
    return registry.job


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    """Files go to a folder of the test's own."""
    settings.MEDIA_ROOT = tmp_path / "media"
