"""A stopping worker keeps within its time: ops/celery/shutdown.py."""

import signal
import threading

import pytest

from ops.celery import shutdown
from tests.support.waiting import wait_for


@pytest.fixture
def signals(settings, monkeypatch):
    """The signals that this process would get."""
    signals = []
    settings.DRAIN_SECONDS = 0.1
    monkeypatch.setattr(shutdown.os, "kill", lambda process, number: signals.append(number))
    return signals


def test_what_is_still_running_at_the_deadline_is_handed_back(signals):
    shutdown.cold_shutdown_after_deadline(how="Warm")

    wait_for(lambda: signals, "the deadline")
    assert signals == [signal.SIGQUIT]


def test_a_worker_that_hands_everything_back_at_once_has_no_deadline(signals):
    before = threading.active_count()

    shutdown.cold_shutdown_after_deadline(how="Cold")

    assert threading.active_count() == before
