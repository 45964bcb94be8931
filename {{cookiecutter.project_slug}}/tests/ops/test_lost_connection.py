"""Which errors mean a lost connection, and which a conflict that was rolled back: ops/lost_connection.py."""

import sqlite3
import threading

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite
from redis import exceptions as redis

from ops.lost_connection import is_lost_connection, is_rolled_back_by_conflict


@pytest.fixture
def error_of(postgresql):
    """Return a function that runs SQL in PostgreSQL and returns the error that Django raises."""

    def run(*statements: str) -> DatabaseError:
        try:
            with postgresql.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        except DatabaseError as error:
            return error
        pytest.fail("PostgreSQL accepted all statements")

    yield run
    postgresql.close()


def test_a_connection_that_the_server_ends_is_lost(error_of):
    assert is_lost_connection(error_of("SELECT pg_terminate_backend(pg_backend_pid())"))


def test_a_connection_that_the_server_has_ended_is_lost(error_of, postgresql):
    other = postgresql.copy()
    postgresql.ensure_connection()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [postgresql.connection.info.backend_pid])
    other.close()

    assert is_lost_connection(error_of("SELECT 1"))
    assert is_lost_connection(error_of("SELECT 1"))  # psycopg notices without asking the server


def test_a_server_that_does_not_answer_is_a_lost_connection(postgresql):
    nobody = postgresql.copy()
    nobody.settings_dict.update(HOST="127.0.0.1", PORT="1")

    with pytest.raises(OperationalError) as caught:
        nobody.ensure_connection()

    assert is_lost_connection(caught.value)


@pytest.mark.parametrize(
    "statements",
    [
        ["SET statement_timeout = 10", "SELECT pg_sleep(5)"],
        ["SET lock_timeout = 10", "SELECT pg_advisory_lock(7)"],
        ["SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(1)"],
        ["SELECT 1 / 0"],
        ["SELECT nothing"],
    ],
    ids=["statement timeout", "lock timeout", "cancelled query", "division by zero", "unknown column"],
)
def test_another_error_is_not_a_lost_connection(error_of, postgresql, statements):
    other = postgresql.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(7)")

    error = error_of(*statements)
    other.close()

    assert not is_lost_connection(error)
    assert not is_rolled_back_by_conflict(error)


@pytest.fixture
def table(postgresql):
    """The name of a table with the rows 1 and 2."""
    with postgresql.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS lost_connection AS SELECT generate_series(1, 2) AS id, 0 AS value")
    yield "lost_connection"
    with postgresql.cursor() as cursor:
        cursor.execute("DROP TABLE lost_connection")
    postgresql.close()


def test_a_deadlock_is_a_conflict_that_was_rolled_back(postgresql, table):
    other = postgresql.copy()
    errors = []

    def lock(connection, *rows: int) -> None:
        with connection.cursor() as cursor:
            for row in rows:
                cursor.execute(f"UPDATE {table} SET value = 1 WHERE id = %s", [row])  # noqa: S608

    for connection, row in ((postgresql, 1), (other, 2)):
        connection.set_autocommit(False)
        lock(connection, row)

    def lock_in_thread() -> None:
        try:
            lock(other, 1)
        except DatabaseError as error:
            errors.append(error)
        other.rollback()

    other.inc_thread_sharing()
    thread = threading.Thread(target=lock_in_thread)
    thread.start()
    try:
        lock(postgresql, 2)
    except DatabaseError as error:
        errors.append(error)
    postgresql.rollback()
    thread.join()
    other.close()
    postgresql.set_autocommit(True)

    assert [(is_rolled_back_by_conflict(error), is_lost_connection(error)) for error in errors] == [(True, False)]


def test_a_transaction_that_cannot_be_serialized_is_a_conflict_that_was_rolled_back(error_of, postgresql, table):
    other = postgresql.copy()
    with postgresql.cursor() as cursor, other.cursor() as meanwhile:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute(f"SELECT * FROM {table}")  # noqa: S608
        meanwhile.execute(f"UPDATE {table} SET value = 1")  # noqa: S608
    other.close()

    error = error_of(f"UPDATE {table} SET value = 2")  # noqa: S608
    postgresql.close()

    assert (is_rolled_back_by_conflict(error), is_lost_connection(error)) == (True, False)


def error_of_sqlite(path, sql: str) -> DatabaseError:
    """Return the error that Django raises for this SQL, while another connection has locked the database."""
    database = SQLite({"NAME": path, "OPTIONS": {"timeout": 0}, "TIME_ZONE": None, "CONN_HEALTH_CHECKS": False}, "test")
    with sqlite3.connect(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseError) as caught, database.wrap_database_errors:
            sqlite3.connect(path, timeout=0).execute(sql)
    return caught.value


def test_sqlites_lock_counts_as_a_lost_connection_because_it_passes(tmp_path):
    assert is_lost_connection(error_of_sqlite(tmp_path / "db.sqlite3", "CREATE TABLE one (id)"))
    assert not is_lost_connection(error_of_sqlite(tmp_path / "db.sqlite3", "nonsense"))


@pytest.mark.parametrize(
    "error", [OperationalError(), InterfaceError(), redis.ConnectionError(), redis.TimeoutError()], ids=repr
)
def test_an_error_without_a_code_is_a_lost_connection(error):
    assert is_lost_connection(error)


@pytest.mark.parametrize(
    "error", [redis.AuthenticationError(), redis.ResponseError(), ConnectionError(), ZeroDivisionError()], ids=repr
)
def test_other_errors_are_neither_a_lost_connection_nor_a_conflict(error):
    assert not is_lost_connection(error)
    assert not is_rolled_back_by_conflict(error)
