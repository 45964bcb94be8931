"""A lock that one of several processes holds: ops/celery/beat/leader_lock.py."""

import pytest
from django.db import OperationalError
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite

from ops.celery.beat import leader_lock
from ops.celery.beat.leader_lock import LeaderLock, abort_slow_query


@pytest.fixture
def lock(lock_in_postgresql):
    """Return a function that makes a lock, which is released at the end of the test."""
    locks = []

    def make(name: str = "test") -> LeaderLock:
        locks.append(LeaderLock(name))
        return locks[-1]

    yield make
    for one in locks:
        one.release()


def test_only_one_of_two_processes_gets_the_lock(lock):
    first, second = lock(), lock()

    assert first.acquire()
    assert not second.acquire()
    assert first.acquire()  # it still holds the lock


def test_a_released_lock_goes_to_the_next_process_that_asks(lock):
    first, second = lock(), lock()
    first.acquire()

    first.release()

    assert second.acquire()
    assert not first.acquire()


def test_locks_with_different_names_do_not_meet(lock):
    assert lock("one").acquire()
    assert lock("two").acquire()


def test_without_advisory_locks_every_process_gets_the_lock(monkeypatch):
    monkeypatch.setattr(leader_lock, "connection", SQLite({"OPTIONS": {}}))

    assert LeaderLock("test").acquire()
    assert LeaderLock("test").acquire()


def test_a_process_whose_connection_is_cut_loses_the_lock_and_gets_an_error(lock, postgresql):
    first, second = lock(), lock()
    first.acquire()
    with postgresql.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [first._connection.connection.info.backend_pid])

    with pytest.raises(OperationalError):
        first.acquire()
    assert second.acquire()
    assert not first.acquire()


def test_a_query_that_is_not_answered_is_not_waited_for(postgresql, monkeypatch):
    monkeypatch.setattr(leader_lock, "QUERY_TIMEOUT", 0.1)
    with postgresql.execute_wrapper(abort_slow_query), postgresql.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0)")
        with pytest.raises(OperationalError):
            cursor.execute("SELECT pg_sleep(1)")
    postgresql.close()
