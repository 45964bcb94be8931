"""Plain tasks. No options of their own: the project's defaults are what is tested."""

import os
import signal
import time

from celery import shared_task
from load.models import Run


@shared_task
def plain(batch: str, number: int, seconds: float) -> None:
    time.sleep(seconds)
    Run.objects.create(batch=batch, sent_as="tasks", number=number)


@shared_task(ignore_result=False)
def with_result(batch: str, number: int, seconds: float) -> int:
    plain(batch, number, seconds)
    return number


@shared_task
def poison(batch: str, number: int, seconds: float) -> None:
    """Leave a row for this start, then kill the process."""
    Run.objects.create(batch=batch, sent_as="poison", number=number)
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task
def greedy(batch: str, number: int, seconds: float) -> None:
    """Leave a row for this start, then take memory until somebody stops it."""
    Run.objects.create(batch=batch, sent_as="greedy", number=number)
    taken = []
    while True:
        taken.append(bytearray(os.urandom(2**20)))


@shared_task
def compute(batch: str, number: int, seconds: float) -> None:
    """Keep a core busy."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    Run.objects.create(batch=batch, sent_as="tasks", number=number)
