import os
import signal
import time

from jobs import job
from load.models import Run


@job()
def load(batch: str, number: int, seconds: float) -> None:
    """Sleep, then leave a row, in the job's own transaction."""
    time.sleep(seconds)
    Run.objects.create(batch=batch, way="ledger", number=number)


@job(max_attempts=2)
def fatal() -> None:
    """Kill the process."""
    os.kill(os.getpid(), signal.SIGKILL)
