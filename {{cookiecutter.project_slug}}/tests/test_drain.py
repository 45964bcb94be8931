"""A stopping worker keeps within its time: ops/drain.py."""

import signal
import threading

import pytest

from ops import drain
from tests.waiting import wait_for


@pytest.fixture
def killed(settings, monkeypatch):
    """The signals that this process would get."""
    signals = []
    settings.DRAIN_SECONDS = 0.1
    monkeypatch.setattr(drain.os, "kill", lambda process, number: signals.append(number))
    return signals


def test_what_still_runs_at_the_deadline_is_given_back(killed):
    drain.limit(how="Warm")

    wait_for(lambda: killed, "the deadline")
    assert killed == [signal.SIGQUIT]


def test_a_worker_that_gives_everything_back_at_once_has_no_deadline(killed):
    before = threading.active_count()

    drain.limit(how="Cold")

    assert threading.active_count() == before
