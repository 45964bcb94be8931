"""How fast a backlog of jobs is worked off, and what it costs the broker: `make bench`

The same stack as in production works for 30 seconds on a backlog of 1,000 jobs and then on one of 100,000. With 100,000
the broker must not have more messages than with 1,000, and the workers must not be slower. The job is the sample `add`,
which takes no time, so this measures the engine. Needs Docker; takes some minutes.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from cookiecutter.main import cookiecutter

from tests.answers import TEMPLATE
from tests.running import server
from tests.running.stack import Stack, engine_answers

BACKLOGS = [1_000, 100_000]
SECONDS = 30  # for each backlog, unless it is finished earlier

# A job that waits for a day, so that it is there to be copied.
ORIGINAL = """
from datetime import timedelta
from django.db import transaction
from django.utils import timezone
from jobs import submit
from jobs.models import Job
with transaction.atomic():
    job = submit("add", x=1, y=1)
    Job.objects.filter(pk=job.pk).update(run_after=timezone.now() + timedelta(days=1))
print(job.pk)
"""
COPY = """
INSERT INTO jobs_job
SELECT (jsonb_populate_record(job, jsonb_build_object('id', gen_random_uuid(), 'run_after', now()))).*
FROM jobs_job job, generate_series(1, {count}) WHERE id = '{original}';
NOTIFY jobs
"""
# How many jobs were done since a moment, and within how many seconds, by the database's clock.
DONE = """
SELECT count(*), coalesce(extract(epoch FROM max(finished_at) - min(started_at)), 1) FROM jobs_job
WHERE status = 'succeeded' AND started_at > '{began}'
"""


def main() -> None:
    if not engine_answers():
        sys.exit("no Docker engine answers (docker info): this benchmark needs one")
    with tempfile.TemporaryDirectory() as folder:
        project = Path(cookiecutter(str(TEMPLATE), no_input=True, output_dir=folder))
        server.prepare(project)
        stack = Stack(project, f"bench-{os.getpid()}", server.FILES)
        try:
            stack.up()
            print("\n| backlog | jobs per second | most messages in the broker | the broker's memory before, after |")
            print("|---|---|---|---|")
            for count in BACKLOGS:
                print(f"| {count:,} | {measured(stack, count)} |", flush=True)
        finally:
            stack.down()


def measured(stack: Stack, count: int) -> str:
    """Return jobs per second, the most messages that were seen in the queue, and the memory before and after."""
    before = memory(stack)
    original, [[began]] = stack.shell(ORIGINAL), stack.sql("SELECT now()")
    stack.sql(COPY.format(count=count, original=original))
    end, done, messages = time.monotonic() + SECONDS, 0, 0
    while done < count and time.monotonic() < end:
        time.sleep(2)  # each look takes the machine's time from the workers
        messages = max(messages, int(stack.redis("redis", "LLEN", "default.jobs")))
        [[finished, took]] = stack.sql(DONE.format(began=began))
        done, rate = int(finished), int(finished) / float(took)
    after = memory(stack)
    stack.sql("DELETE FROM jobs_job WHERE status = 'waiting'")
    return f"{rate:.0f} | {messages} | {before} MB, {after} MB"


def memory(stack: Stack) -> str:
    """Return the memory that Redis uses for its data, in megabytes."""
    lines = stack.redis("redis", "INFO", "memory").splitlines()
    used = next(line for line in lines if line.startswith("used_memory:"))
    return f"{int(used.removeprefix('used_memory:')) / 1e6:.2f}"


if __name__ == "__main__":
    main()
