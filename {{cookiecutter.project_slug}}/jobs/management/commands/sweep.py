import signal
import threading

from django.core.management.base import BaseCommand

from jobs import sweep


class Command(BaseCommand):
    help = "Publish jobs to the broker, and bring back those whose worker died. Runs until SIGTERM or Ctrl-C."

    def handle(self, *args, **options):
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda signum, frame: stop.set())
        sweep.run(stop)
