"""Both ends of the notification that wakes the dispatcher when there is something to publish.

PostgreSQL delivers it with NOTIFY and LISTEN. SQLite has nothing like it, so there the dispatcher polls more often.
"""

import time

from django.db import connection

CHANNEL = "jobs"
NOTIFY = {"postgresql": f"pg_notify('{CHANNEL}', '')"}  # the SQL that notifies the dispatcher, by database
POLL_INTERVAL = 5.0  # seconds between two polls of a database that notifies the dispatcher in between
BACKLOG_POLL_INTERVAL = 0.2  # seconds between two polls while jobs wait for a free place in the broker
POLL_INTERVAL_WITHOUT_NOTIFY = 0.2  # seconds between two polls of a database without NOTIFY


def notify_dispatcher() -> None:
    """Wake the dispatcher as soon as the caller's transaction is committed.

    If transactions notify, PostgreSQL commits only one of them at a time, which limits how many jobs can be submitted
    per second. https://www.postgresql.org/docs/current/sql-notify.html
    """
    if notify := NOTIFY.get(connection.vendor):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {notify}")


class NotificationListener:
    """Waits for `notify_dispatcher`, on a database connection of its own."""

    def __init__(self) -> None:
        self._connection = connection.copy()

    def wait(self, seconds: float) -> None:
        """Return as soon as a notification arrives, or after this time, POLL_INTERVAL at most. Raises DatabaseError."""
        if connection.vendor not in NOTIFY:
            time.sleep(POLL_INTERVAL_WITHOUT_NOTIFY)
        elif self._connection.connection is None:
            with self._connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
            # Return without waiting, because nobody heard the notifications that were sent before this moment.
        else:
            with self._connection.wrap_database_errors:
                timeout = min(seconds, POLL_INTERVAL)
                for _ in self._connection.connection.notifies(timeout=timeout, stop_after=1):
                    pass

    def wait_for_places(self) -> None:
        """Return after BACKLOG_POLL_INTERVAL, whether notifications arrive or not. Raises DatabaseError.

        The notifications are read all the same, because PostgreSQL keeps what nobody reads.
        """
        if self._connection.connection is None:
            time.sleep(BACKLOG_POLL_INTERVAL)
        else:
            with self._connection.wrap_database_errors:
                for _ in self._connection.connection.notifies(timeout=BACKLOG_POLL_INTERVAL):
                    pass

    def close(self) -> None:
        """Close the connection. The next call of `wait` opens it again."""
        self._connection.close()
