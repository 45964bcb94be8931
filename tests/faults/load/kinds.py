import time

from jobs import job
from load.models import Run


@job()
def load(batch: str, number: int, seconds: float) -> None:
    """Sleep, then leave a row, in the job's own transaction."""
    time.sleep(seconds)
    Run.objects.create(batch=batch, way="ledger", number=number)
