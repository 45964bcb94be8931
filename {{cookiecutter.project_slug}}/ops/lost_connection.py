"""Which errors mean that a connection to the database or the cache was lost, so that another attempt may succeed.

Django's OperationalError says too little: it also stands for a query that was cancelled, took longer than
statement_timeout, or met a deadlock. Such a query may fail again each time. PostgreSQL's code of the error says which
it was. https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

import sqlite3

from django.db import Error, InterfaceError, OperationalError
from redis import exceptions as redis

CONNECTION_EXCEPTION = "08"  # a class of codes: the first two characters
# The server is restarted, a process of it has crashed, it is starting, or the connection was idle for too long.
SERVER_ENDED_CONNECTION = {"57P01", "57P02", "57P03", "57P05"}
# A serialization failure, and a deadlock. In both cases two transactions were in each other's way, and PostgreSQL has
# rolled one of them back. That one will probably succeed when it is run again from its beginning.
CONFLICTS = {"40001", "40P01"}


def is_lost_connection(error: BaseException) -> bool:
    """Return whether the database or the cache raises this error when it is down, or when the connection was closed.

    A SQLite database that is locked counts as well, because the lock passes.
    """
    if isinstance(error, redis.AuthenticationError):
        return False
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return True
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    if isinstance(error.__cause__, sqlite3.Error):
        return getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    code = _sqlstate(error)  # psycopg's errors about a connection have none, because no server sent them
    return not code or code.startswith(CONNECTION_EXCEPTION) or code in SERVER_ENDED_CONNECTION


def is_rolled_back_by_conflict(error: BaseException) -> bool:
    """Return whether PostgreSQL has rolled back the transaction because of another one, as for a deadlock."""
    return isinstance(error, Error) and _sqlstate(error) in CONFLICTS


def _sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's code for the error, which psycopg keeps. Django's error was raised from psycopg's."""
    return getattr(error.__cause__, "sqlstate", None)
