"""The load as jobs. Only in projects with jobs."""

import os
import signal
import time

from load.models import Run

from jobs import job


@job()
def load(batch: str, number: int, seconds: float) -> None:
    """Sleep, then leave a row, in the job's own transaction."""
    time.sleep(seconds)
    Run.objects.create(batch=batch, sent_as="jobs", number=number)


@job(max_attempts=2)
def fatal() -> None:
    """Kill the process."""
    os.kill(os.getpid(), signal.SIGKILL)
