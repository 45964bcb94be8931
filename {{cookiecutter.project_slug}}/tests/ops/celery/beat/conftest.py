"""What the tests of beat share."""

import pytest

from ops.celery.beat import leader_lock


@pytest.fixture
def lock_in_postgresql(postgresql, monkeypatch):
    """Keep the lock in a real PostgreSQL, also if the tests' tables are in SQLite, which has no lock."""
    monkeypatch.setattr(leader_lock, "connection", postgresql)
