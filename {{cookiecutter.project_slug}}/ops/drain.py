"""Keeps a stopping worker within its time: what still runs then goes back to the broker.

A worker that gets SIGTERM takes no more tasks and ends those that run (Celery's warm shutdown), however long that
takes. Docker kills it when the stop grace period is over, and on Redis a killed worker's tasks come back minutes later.
"""

import os
import signal
import threading

from celery.signals import worker_shutting_down
from django.conf import settings


def limit(how: str = "Warm", **kwargs) -> None:
    """Receiver of worker_shutting_down: after DRAIN_SECONDS do what a SIGQUIT does (cold shutdown), which ends the
    running tasks' processes and leaves their messages to other workers. It may be sent by hand, too, to save the time.
    """
    if how == "Warm":
        worker_shutting_down.disconnect(limit)  # a second SIGTERM asks for nothing new
        timer = threading.Timer(settings.DRAIN_SECONDS, os.kill, [os.getpid(), signal.SIGQUIT])
        timer.daemon = True
        timer.start()
