"""What a request pays for getting its job to a worker, while the broker answers, is stopped, or hangs: `make bench`

Two ways to submit, in the same process of the same stack: a job (a row and a NOTIFY; the dispatcher publishes), and a
row with a plain task that is published after the commit (`delay_on_commit`). Needs Docker; takes some minutes.
"""

import os
import sys
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

from tests.answers import TEMPLATE
from tests.running import server
from tests.running.stack import Stack, engine_answers

MEASURE = """
import time
from django.db import transaction
from example.models import TaskRun
from example.tasks import slow
from jobs import submit

def job(number):
    submit("add", x=number, y=1)

def publish_after_commit(number):
    TaskRun.objects.create(task_id=f"bench {{time.monotonic_ns()}}", task_name="bench", worker="none")
    slow.delay_on_commit(0)  # stores no result, so that only the broker is measured

for way in [job, publish_after_commit]:
    took, errors = [], []
    for number in range({count}):
        began = time.monotonic()
        try:
            with transaction.atomic():
                way(number)
        except Exception as error:
            errors.append(type(error).__name__)
        took.append((time.monotonic() - began) * 1000)
    took.sort()
    p50, p95 = took[len(took) // 2], took[int(len(took) * 0.95)]
    print(f"{{p50:.1f}}, {{p95:.1f}}, {{len(errors)}} of {count}", *set(errors))
"""

HOP = """
import time
from jobs import submit
from jobs.models import Job
jobs = []
for number in range(200):
    jobs.append(submit("add", x=number, y=1).pk)
    time.sleep(0.05)
while Job.objects.filter(pk__in=jobs, finished_at=None).exists():
    time.sleep(0.1)
took = sorted((job.started_at - job.created_at).total_seconds() * 1000 for job in Job.objects.filter(pk__in=jobs))
print(f"{took[100]:.0f}, {took[190]:.0f}")
"""


def main() -> None:
    if not engine_answers():
        sys.exit("no Docker engine answers (docker info): this benchmark needs one")
    for broker in ["redis", "rabbitmq"]:
        with tempfile.TemporaryDirectory() as folder:
            answers = {"broker": broker}
            project = Path(cookiecutter(str(TEMPLATE), no_input=True, extra_context=answers, output_dir=folder))
            server.prepare(project)
            stack = Stack(project, f"bench-{os.getpid()}", server.FILES)
            try:
                stack.up()
                measure(stack, broker)
            finally:
                stack.down()


def measure(stack: Stack, broker: str) -> None:
    """Print the table for this broker."""
    # First, while nothing else waits.
    print(f"\n{broker}: from submit() to the start of the function: {stack.shell(HOP)} ms (p50, p95)")
    print("\nmilliseconds in the request: p50, p95, errors for the caller\n")
    print("| the broker | job | row, then publish after commit |")
    print("|---|---|---|")
    print(f"| answers | {compared(stack, 200)} |", flush=True)
    stack.compose("stop", broker)
    print(f"| is stopped | {compared(stack, 3)} |", flush=True)
    stack.compose("up", "--detach", "--no-deps", "--wait", broker)
    stack.compose("pause", broker)
    print(f"| hangs | {compared(stack, 3)} |", flush=True)
    stack.compose("unpause", broker)


def compared(stack: Stack, count: int) -> str:
    """Return what `count` submissions took, each way."""
    return " | ".join(stack.shell(MEASURE.format(count=count)).splitlines())


if __name__ == "__main__":
    main()
