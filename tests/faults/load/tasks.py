"""Plain tasks. Except with_result, they have ignore_result=True, so that the cases test the broker and not the result
backend. Everything else is the project's default, because the defaults are what is tested.
"""

import os
import signal
import time

from celery import shared_task
from celery.worker.control import control_command
from load.models import Run


@shared_task(ignore_result=True)
def plain(batch: str, number: int, seconds: float) -> None:
    time.sleep(seconds)
    Run.objects.create(batch=batch, sent_as="tasks", number=number)


@shared_task
def with_result(batch: str, number: int, seconds: float) -> int:
    plain(batch, number, seconds)
    return number


@shared_task(ignore_result=True)
def poison(batch: str, number: int, seconds: float) -> None:
    """Leave a row for this start, then kill the process."""
    Run.objects.create(batch=batch, sent_as="poison", number=number)
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(ignore_result=True)
def greedy(batch: str, number: int, seconds: float) -> None:
    """Leave a row for this start, then take memory until somebody stops it."""
    Run.objects.create(batch=batch, sent_as="greedy", number=number)
    taken = []
    while True:
        taken.append(bytearray(os.urandom(2**20)))


@shared_task(ignore_result=True)
def without_memory(batch: str, number: int, seconds: float) -> None:
    """Leave a row for this start, then fail as a task does that asks for more memory than there is."""
    Run.objects.create(batch=batch, sent_as="without", number=number)
    raise MemoryError


@shared_task(ignore_result=True)
def compute(batch: str, number: int, seconds: float) -> None:
    """Keep a core busy."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    Run.objects.create(batch=batch, sent_as="tasks", number=number)


@control_command()
def stop_consuming(state):
    """Bring the worker into the state of https://github.com/celery/celery/issues/10205. It still answers pings."""
    state.consumer.task_consumer.cancel()
