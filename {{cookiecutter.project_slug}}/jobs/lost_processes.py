"""Lets a job start again at once when its process ends before the job does.

Without this, the job would wait until its lease has expired.
"""

import logging
import threading
from typing import Any

from django.db import DatabaseError, connections

from jobs import attempt, lifecycle

logger = logging.getLogger(__name__)


def recover_job(task_id: str, **kwargs: Any) -> None:
    """Receiver of process_lost: if the lost process was running a job, recover that job.

    This runs in the worker's main process, which must not wait for the database. So a thread does the work.
    """
    threading.Thread(target=_recover, args=[task_id], name=f"recover the job of {task_id}", daemon=True).start()


def _recover(task_id: str) -> None:
    try:
        lifecycle.recover_from_lost_process(task_id)
    except DatabaseError as error:
        logger.warning("the job of task %s waits until its lease has expired: %s", task_id, error)
    finally:
        connections.close_all()


def release_jobs_of_threads(**kwargs: Any) -> None:
    """Receiver of threads_abandoned: release the jobs that run in this process, which is about to end."""
    try:
        for running in tuple(attempt.running):
            lifecycle.release(running.job)
    except DatabaseError as error:  # The others would have to wait for the same database, and time is short.
        logger.warning("jobs of this process wait until their leases have expired: %s", error)
