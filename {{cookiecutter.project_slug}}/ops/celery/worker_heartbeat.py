"""The worker's heartbeat: it touches `alive` while its event loop runs, and `ready` while it can work.

The loop runs only while the worker is connected to the broker. Without a connection, each attempt to connect touches
`alive`. What the two files mean: ops/heartbeat.py.
"""

import os
import threading
import time
from pathlib import Path
from typing import Any

import kombu
from celery import bootsteps
from celery.utils.nodenames import nodesplit
from celery.worker import state

from ops import heartbeat
from ops.celery.broker_probe import BrokerProbe

INTERVAL = 1.0  # seconds between two touches
# A pool process counts as stuck if it has not run any Python code for this long (seconds), because it is frozen
# (SIGSTOP), or C code of a library does not release the GIL. A process that computes or waits for a long time is not
# stuck.
STUCK_AFTER = 30
# While a message waits and a process or a thread of the pool is free, the worker must take a message within this time
# (seconds). https://github.com/celery/celery/issues/10205 is about workers that are connected and take none.
TAKE_WITHIN = 120


class Progress:
    """Remembers when the worker's main process last did something that a stuck one does not do."""

    def __init__(self) -> None:
        self.at = float("-inf")  # time.monotonic()

    def note(self) -> None:
        """Remember that this happens now."""
        self.at = time.monotonic()


progress = Progress()


class Connection(kombu.Connection):
    """Celery's connection to the broker. In the worker's main process, each try to connect says that it is alive.

    While the broker is down, the loop stands still in a function that
    tries to connect again and again: the consumer's, or the one that sends Celery's own heartbeats. So the connection
    itself reports each attempt.
    """

    # The ID of the worker's main process. Its threads and the processes of the pool say nothing about its loop.
    process: int | None = None
    # The worker's name, which is also the name of its files.
    worker = ""

    def _establish_connection(self) -> Any:
        if os.getpid() == self.process and threading.current_thread() is threading.main_thread():
            progress.note()
            heartbeat.alive(self.worker).touch()
        return super()._establish_connection()


class WorkerHeartbeat(bootsteps.StartStopStep):
    """Touches the worker's files every INTERVAL seconds.

    `alive` is touched unless the worker takes no message although it could. `ready` also needs a broker that answers
    and a pool without stuck processes. A stuck process does not make the whole worker stuck, because the hard time
    limit ends it.
    """

    requires = ("celery.worker.components:Timer", "celery.worker.components:Pool")

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        # Of `--hostname worker@%h`, the part before the @. So two workers on one machine do not share files.
        self.name = Connection.worker = nodesplit(parent.hostname)[0]
        Connection.process = os.getpid()
        parent.app.amqp.Connection = Connection
        self.entry: Any = None
        self.probe = BrokerProbe()
        self.first_seen: dict[int, float] = {}  # process ID: seconds since 1970
        self.idle_since = time.monotonic()  # since when the worker could take a message but has not done so

    def start(self, parent: Any) -> None:
        self.probe.start()
        self.entry = parent.timer.call_repeatedly(INTERVAL, self.touch, (parent.pool, parent.consumer))

    def stop(self, parent: Any) -> None:
        """End the heartbeat. The worker now finishes its tasks, which may take long, and its loop stands still."""
        if self.entry:
            self.entry.cancel()
            self.entry = None
        self.probe.stop()
        heartbeat.end(self.name)

    def touch(self, pool: Any, consumer: Any) -> None:
        """Touch the worker's files as far as it is alive and ready."""
        pool_works = self._pool_works(pool)
        if self._takes_messages(pool, consumer):
            heartbeat.alive(self.name).touch()
            if pool_works and self.probe.answers:
                heartbeat.ready(self.name).touch()

    def _takes_messages(self, pool: Any, consumer: Any) -> bool:
        now = time.monotonic()
        has_free_process = len(state.active_requests) < pool.num_processes
        if hasattr(pool, "has_free_thread"):  # A cancelled task may still run in its thread.
            has_free_process = has_free_process and pool.has_free_thread()
        is_rate_limited = any(bucket and bucket.contents for bucket in consumer.task_buckets.values())
        if self.probe.messages_wait and has_free_process and not is_rate_limited:
            self.idle_since = max(self.idle_since, progress.at)
        else:
            self.idle_since = now
        return now - self.idle_since < TAKE_WITHIN

    def _pool_works(self, pool: Any) -> bool:
        """Tell whether no process of the pool is stuck, and delete the files of processes that ended."""
        now = time.time()
        processes = pool.info.get("processes", [])
        for ended in self.first_seen.keys() - set(processes):
            pool_process_file(ended).unlink(missing_ok=True)
        # A new process has not touched its file yet, so its age counts from when it was first seen.
        self.first_seen = {process: self.first_seen.get(process, now) for process in processes}
        return all(now - _last_heartbeat(process, since) < STUCK_AFTER for process, since in self.first_seen.items())


def _last_heartbeat(process: int, since: float) -> float:
    """Return when the process last touched its file (seconds since 1970), or `since` if it has not done so yet."""
    try:
        return max(since, pool_process_file(process).stat().st_mtime)
    except FileNotFoundError:
        return since


def pool_process_file(process: int) -> Path:
    """Return the file that the pool process with this process ID touches."""
    return heartbeat.alive(f"worker.{process}")


def start_in_pool_process(**kwargs: Any) -> None:
    """Receiver of worker_process_init: start a thread that touches this process's file as long as Python runs."""

    def touch() -> None:
        while True:
            file.touch()
            time.sleep(STUCK_AFTER / 6)

    file = pool_process_file(os.getpid())
    threading.Thread(target=touch, name="heartbeat", daemon=True).start()
