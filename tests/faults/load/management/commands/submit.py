import json
import sys
import time
import traceback

from django.core.management.base import BaseCommand
from load import tasks as load_tasks


class Command(BaseCommand):
    help = "Submit a batch of plain tasks and of jobs, in turn; print as JSON what happened to the callers."

    def add_arguments(self, parser):
        parser.add_argument("batch")
        parser.add_argument("--tasks", type=int, default=0, metavar="N")
        parser.add_argument("--jobs", type=int, default=0, metavar="N")
        parser.add_argument("--seconds", type=float, default=0, help="how long each one works")
        parser.add_argument("--function", default="plain", help="the task in load/tasks.py that is sent")
        parser.add_argument("--warm", action="store_true", help="send a task of another batch, then wait for a line")

    def handle(self, batch, tasks, jobs, seconds, function, warm, **options):
        def send_task(number):
            getattr(load_tasks, function).delay(batch, number, seconds)

        def send_job(number):
            from jobs import submit  # here, because a project may have no jobs

            submit("load", batch=batch, number=number, seconds=seconds)

        if warm:  # so that this process has a connection to the broker, as one that has sent tasks for hours
            load_tasks.plain.delay(f"{batch}-warm", 0, 0)
            self.stdout.write("warm", ending="\n")
            self.stdout.flush()
            sys.stdin.readline()
        met = {"tasks": Met(send_task, tasks), "jobs": Met(send_job, jobs)}
        for number in range(max(tasks, jobs)):
            for way in met.values():
                way.submit(number)
        self.stdout.write(json.dumps({name: way.as_dict() for name, way in met.items()}))


class Met:
    """What happened to the callers that submitted the numbers below `count` with `send`."""

    def __init__(self, send, count: int):
        self.send, self.count = send, count
        self.refused: list[int] = []
        self.errors: set[str] = set()
        self.slowest = 0.0

    def submit(self, number: int) -> None:
        if number >= self.count:
            return
        began = time.monotonic()
        try:
            self.send(number)
        except Exception as error:  # of any kind: a caller that gets an error knows that the work was refused
            self.refused.append(number)
            if type(error).__name__ not in self.errors:
                traceback.print_exc()
            self.errors.add(type(error).__name__)
        self.slowest = max(self.slowest, time.monotonic() - began)

    def as_dict(self) -> dict:
        """Return it as JSON can hold it: `refused` are numbers, `slowest` is in seconds."""
        errors, slowest = sorted(self.errors), round(self.slowest, 2)
        return {"submitted": self.count, "refused": self.refused, "errors": errors, "slowest": slowest}
