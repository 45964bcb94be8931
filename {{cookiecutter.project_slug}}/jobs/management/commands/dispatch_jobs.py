import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from jobs import dispatcher


class Command(BaseCommand):
    help = "Publish jobs to the broker and recover jobs whose worker has died. Runs until SIGTERM or Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda signum, frame: stop.set())
        dispatcher.run(stop)
