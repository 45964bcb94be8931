"""A lock that only one of several processes can hold. The process that holds it is the leader.

It is an advisory lock of PostgreSQL, which belongs to a connection. When the process dies, PostgreSQL notices that the
connection has ended and gives the lock to the next process that asks for it. So nothing has to be cleaned up, and no
clocks are compared. https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

# Seconds. A database that does not answer a query within this time counts as down, and the lock is given up. So a
# database that is only slow makes the leader change.
QUERY_TIMEOUT = 5
# Seconds. PostgreSQL closes the lock's connection when it gets no query for this long. A process that is frozen
# (SIGSTOP) or cut off from the network loses the lock this way, although it cannot notice that itself. Until then there
# is no leader. (The death of a process is noticed at once.) This must be longer than a publish to a broker that hangs,
# which takes up to 10 seconds (config/settings/celery.py).
# https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-IDLE-SESSION-TIMEOUT
IDLE_SESSION_TIMEOUT = 30


def abort_slow_query(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Wrapper for Django's queries: if PostgreSQL does not answer within QUERY_TIMEOUT, close the connection.

    The query then raises OperationalError. Pass this function to `connection.execute_wrapper`.

    It is for a server that hangs. TCP timeouts do not help in this case, because the server's kernel still answers, and
    statement_timeout does not help either, because the server itself would have to enforce it. The wrapper starts a
    short-lived thread for each query. https://docs.djangoproject.com/en/5.2/topics/db/instrumentation/
    """
    database = context["connection"]
    if database.vendor != "postgresql":
        return execute(sql, params, many, context)
    with socket.socket(fileno=os.dup(database.connection.fileno())) as server:
        timer = threading.Timer(QUERY_TIMEOUT, _disconnect, [server])
        timer.start()
        try:
            return execute(sql, params, many, context)
        finally:
            timer.cancel()


def _disconnect(server: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the answer came, or the connection ended, at this very moment
        server.shutdown(socket.SHUT_RDWR)


class LeaderLock:
    """The lock called `name` in the project's database.

    The lock has a connection of its own, because django-celery-beat closes Django's connection when it looks for
    changes, which would release the lock. The connection must lead to PostgreSQL itself
    or to a pooler in session mode.

    SQLite has no such lock. With SQLite, every process holds it.
    """

    def __init__(self, name: str) -> None:
        self._key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        self._held = False
        self._connection = connection.copy()
        self._connection.settings_dict["OPTIONS"].pop("pool", None)

    def acquire(self) -> bool:
        """Take the lock if it is free, or confirm that this process still holds it. Return whether it does.

        Each call asks the database, and returns or raises within seconds. Raises django.db.Error if the database does
        not answer, which means that the lock is lost.
        """
        if self._connection.vendor != "postgresql":
            return True
        try:
            if self._connection.connection is None:
                self._query(f"SELECT set_config('idle_session_timeout', '{IDLE_SESSION_TIMEOUT}s', false)")
            if self._held:
                self._query("SELECT 1")  # if the connection is alive, it still has the lock
            else:
                self._held = self._query(f"SELECT pg_try_advisory_lock({self._key})")
        except BaseException:
            self.release()
            raise
        return self._held

    def release(self) -> None:
        """Release the lock and close its connection. The next acquire() opens a new one."""
        self._held = False
        self._connection.close()

    def _query(self, sql: str) -> Any:
        with self._connection.execute_wrapper(abort_slow_query), self._connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]
