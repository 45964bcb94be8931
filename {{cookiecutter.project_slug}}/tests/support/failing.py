"""Views and tasks that fail, and others that do not, for tests that start real processes."""

import logging
import sys
import time

from celery import shared_task
from celery.utils.log import get_task_logger
from django.http import FileResponse
from django.urls import path

logger = get_task_logger(__name__)


@shared_task(ignore_result=True)  # there may be no table for results
def talk() -> None:
    """Say something in three ways."""
    logger.info("said by a logger", extra={"order": 5})
    print("said by print")
    logging.getLogger("multiprocessing").critical("said by the pool")


@shared_task(ignore_result=True)
def fail(password: str) -> None:
    """Send a task, and fail."""
    talk.delay()
    raise ValueError("the task failed")


@shared_task(ignore_result=True)
def run_out_of_memory() -> None:
    """Fail as a function that asks for more memory than there is."""
    raise MemoryError("no memory is left")


@shared_task(ignore_result=True, max_retries=1, default_retry_delay=0)
def leave() -> None:
    """Exit, which a function should not do."""
    sys.exit(3)


@shared_task(ignore_result=True)
def sleep() -> None:
    """Take longer than a test waits for."""
    time.sleep(120)


def view(request):
    """Send a task, and fail."""
    fail.delay(password="let me in")  # noqa: S106  it protects nothing
    raise ValueError("the view failed")


def file(request):
    """Send this file."""
    return FileResponse(open(__file__, "rb"))


urlpatterns = [path("fail/", view), path("file/", file)]
