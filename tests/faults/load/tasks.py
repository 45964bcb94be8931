"""Plain tasks. No options of their own: the project's defaults are what is tested."""

import time

from celery import shared_task
from load.models import Run


@shared_task
def plain(batch: str, number: int, seconds: float) -> None:
    time.sleep(seconds)
    Run.objects.create(batch=batch, way="plain", number=number)
