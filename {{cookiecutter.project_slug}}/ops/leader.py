"""A lock that one process of several holds: who holds it leads.

It is an advisory lock of PostgreSQL, which belongs to a connection: when the process dies, PostgreSQL sees the
connection end and gives the lock to the next one that asks. Nothing has to be cleaned up, and no clocks are compared.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

import hashlib
import select
import time

from django.db import OperationalError, connection
from psycopg import pq

# Seconds. A database that does not answer a question about the lock for so long counts as away: the lock is given up.
# Price: a database that only was slow makes the lead change.
ANSWER_WITHIN = 5
# Seconds. PostgreSQL ends the lock's connection when nothing was asked for so long: a process that stands still, or
# whose network is cut, loses the lock while it can't notice. Longer than a publish to a broker that hangs (10 seconds,
# config/settings/celery.py). Price: for so long nobody leads then. (A process that died is known at once.)
# https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-IDLE-SESSION-TIMEOUT
SILENT_AT_MOST = 30
# What libpq may wait for, on a network that swallows everything; without them some 15 minutes, or two hours. Price: a
# small packet every 10 seconds where nothing else is sent.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-CONNECT-TIMEOUT
LIMITS = {
    "connect_timeout": ANSWER_WITHIN,  # seconds, as the keepalives are
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}


def limit_waiting(database) -> None:
    """Give a connection of Django LIMITS, from its next connect on; what the settings say wins. Other databases than
    PostgreSQL are left alone.
    """
    if database.vendor == "postgresql":
        database.settings_dict["OPTIONS"] = {**LIMITS, **database.settings_dict["OPTIONS"]}


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
        limit_waiting(self._connection)

    def hold(self) -> bool:
        """Take the lock if it is free, and return whether it is held now, which the database was asked about.

        Returns or raises within seconds. Raises django.db.Error if the database does not answer: the lock is lost then.
        """
        if self._connection.vendor != "postgresql":
            return True
        try:
            with self._connection.wrap_database_errors:
                if self._connection.connection is None:
                    self._connection.ensure_connection()
                    self.ask(f"SET idle_session_timeout = '{SILENT_AT_MOST}s'")
                if self._held:
                    self.ask("SELECT 1")  # the connection lives, and so does its lock
                else:
                    self._held = self.ask(f"SELECT pg_try_advisory_lock({self._key})") == b"t"
        except BaseException:
            self.release()
            raise
        return self._held

    def release(self) -> None:
        """Give the lock up, and close its connection; the next hold() opens it again."""
        self._held = False
        self._connection.close()

    def ask(self, sql: str) -> bytes | None:
        """Return the first value of the answer, if it has one. Raises psycopg's or Django's OperationalError, after
        ANSWER_WITHIN at the latest.

        A cursor would wait without end for a server that hangs: the limits of TCP don't help, since its kernel still
        answers, and neither does statement_timeout, which the server itself would have to keep.
        """
        server = self._connection.connection.pgconn
        end = time.monotonic() + ANSWER_WITHIN
        answer = None
        server.send_query(sql.encode())
        server.flush()
        while True:
            while server.is_busy():
                if not select.select([server.socket], [], [], max(0.0, end - time.monotonic()))[0]:
                    raise OperationalError(f"no answer within {ANSWER_WITHIN} seconds")
                server.consume_input()
            result = server.get_result()
            if result is None:
                return answer
            if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
                raise OperationalError(result.error_message.decode(errors="replace").strip())
            if result.ntuples:
                answer = result.get_value(0, 0)
