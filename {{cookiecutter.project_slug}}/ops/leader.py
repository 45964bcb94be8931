"""A lock that one process of several holds: who holds it leads.

It is an advisory lock of PostgreSQL, which belongs to a connection: when the process dies, PostgreSQL sees the
connection end and gives the lock to the next one that asks. Nothing has to be cleaned up, and no clocks are compared.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

import contextlib
import hashlib
import os
import socket
import threading

from django.db import connection

# Seconds. A database that does not answer a query for so long counts as away, and the lock is given up.
# Price: a database that only was slow makes the lead change.
ANSWER_WITHIN = 5
# Seconds. PostgreSQL ends the lock's connection when nothing was asked for so long: a process that stands still, or
# whose network is cut, loses the lock while it can't notice. Longer than a publish to a broker that hangs (10 seconds,
# config/settings/celery.py). Price: for so long nobody leads then. (A process that died is known at once.)
# https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-IDLE-SESSION-TIMEOUT
SILENT_AT_MOST = 30


def give_up_waiting(execute, sql, params, many, context):
    """Wrap a query of Django (`connection.execute_wrapper`): if PostgreSQL does not answer it within ANSWER_WITHIN, end
    the connection, so that it raises OperationalError.

    For a server that hangs. The limits of TCP don't help then, since its kernel still answers, and neither does
    statement_timeout, which it would have to keep itself. Price: a short-lived thread for each query.
    https://docs.djangoproject.com/en/5.2/topics/db/instrumentation/
    """
    database = context["connection"]
    if database.vendor != "postgresql":
        return execute(sql, params, many, context)
    with socket.socket(fileno=os.dup(database.connection.fileno())) as server:
        timer = threading.Timer(ANSWER_WITHIN, _end, [server])
        timer.start()
        try:
            return execute(sql, params, many, context)
        finally:
            timer.cancel()


def _end(server: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the answer came, or the connection ended, at this very moment
        server.shutdown(socket.SHUT_RDWR)


class Lock:
    """The lock `name` of the project's database, on a connection of its own: Django closes its own one between two
    tasks, and the lock would be gone. The connection must reach PostgreSQL itself, or a pooler that keeps sessions.

    With SQLite there is no lock, and everybody holds it.
    """

    def __init__(self, name: str):
        self._key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        self._held = False
        self._connection = connection.copy()
        self._connection.settings_dict["OPTIONS"].pop("pool", None)

    def hold(self) -> bool:
        """Take the lock if it is free, and return whether it is held now, which the database was asked about.

        Returns or raises within seconds. Raises django.db.Error if the database does not answer: the lock is lost then.
        """
        if self._connection.vendor != "postgresql":
            return True
        try:
            if self._connection.connection is None:
                self._ask(f"SELECT set_config('idle_session_timeout', '{SILENT_AT_MOST}s', false)")
            if self._held:
                self._ask("SELECT 1")  # the connection lives, and so does its lock
            else:
                self._held = self._ask(f"SELECT pg_try_advisory_lock({self._key})")
        except BaseException:
            self.release()
            raise
        return self._held

    def release(self) -> None:
        """Give the lock up, and close its connection; the next hold() opens it again."""
        self._held = False
        self._connection.close()

    def _ask(self, sql: str):
        with self._connection.execute_wrapper(give_up_waiting), self._connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]
