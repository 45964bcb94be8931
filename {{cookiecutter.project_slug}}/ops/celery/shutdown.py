"""Lets a stopping worker finish its tasks, but only as long as its stop grace period allows.

On SIGTERM a worker takes no more tasks and waits until the running ones have finished, however long that takes. Celery
calls this a warm shutdown. When the stop grace period is over, Docker kills the worker. Tasks of a killed worker may
start again only minutes later, so the worker hands them back to the broker before that.
"""

import os
import signal
import threading
from typing import Any

from celery.signals import worker_shutting_down
from django.conf import settings


def cold_shutdown_after_deadline(how: str = "Warm", **kwargs: Any) -> None:
    """Receiver of worker_shutting_down: after DRAIN_SECONDS, turn a warm shutdown into a cold one.

    The worker sends itself SIGQUIT. It then ends the processes of the running tasks and leaves their messages to other
    workers. To stop without this wait, send SIGQUIT by hand.
    """
    if how == "Warm":
        worker_shutting_down.disconnect(cold_shutdown_after_deadline)  # a second SIGTERM must not start a second timer
        timer = threading.Timer(settings.DRAIN_SECONDS, os.kill, [os.getpid(), signal.SIGQUIT])
        timer.daemon = True
        timer.start()
