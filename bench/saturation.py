"""How long fast tasks wait while the workers are busy with slow ones: `make bench`

The stack runs as in production, once with one worker for everything and once with three worker pools. 50 jobs compute
for about a second each, 50 jobs download something that takes five seconds, and meanwhile 100 tasks are sent that do
nothing. After that, 16 jobs that only compute run three times: with one process, with one per core, and with two per
core. Needs Docker; takes some minutes.
"""

import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cookiecutter.main import cookiecutter

from tests.answers import TEMPLATE
from tests.running import server
from tests.running.editing import replace
from tests.running.stack import Stack, engine_answers
from tests.running.waiting import wait_for

SLOW_JOBS = 50  # of each kind
TASKS, INTERVAL = 100, 0.1  # seconds between two of them
CPU_JOBS = 16
ADDITIONS = '''

@job({cpu})
def compute() -> None:
    """Compute for about a second."""
    sum(number * number for number in range(25_000_000))


@job({io})
def download() -> int:
    """Download something that takes five seconds."""
    from urllib.request import urlopen

    return len(urlopen("http://slow:8080/").read())
'''
SLOW_SERVER = """
services:
  slow:
    image: ${COMPOSE_PROJECT_NAME}:${TAG:-latest}
    pull_policy: never
    init: true
    networks: [default]
    healthcheck: {test: [CMD, "true"], start_period: 5s, start_interval: 1s}
    command:
      - python
      - -c
      - |
        import time
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        class Slow(BaseHTTPRequestHandler):
            def do_GET(self):
                time.sleep(5)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"x" * 100_000)
            def log_message(self, *arguments):
                pass
        ThreadingHTTPServer.request_queue_size = 100
        ThreadingHTTPServer(("", 8080), Slow).serve_forever()
    depends_on:
      migrate: {condition: service_completed_successfully}
"""
# Each task returns when it ran. Sender and worker have the clock of the same machine.
TASK = """

@shared_task
def note_time() -> float:
    return time.time()
"""
SUBMIT = "from jobs import submit; [submit(kind) for kind in {kinds} for _ in range({count})]"
SEND = f"""
import time
from example.tasks import note_time
sent = []
for _ in range({TASKS}):
    sent.append((time.time(), note_time.delay()))
    time.sleep({INTERVAL})
print(*[result.get(timeout=600) - at for at, result in sent])
"""
UNFINISHED = "SELECT count(*) FROM jobs_job WHERE status IN ('waiting', 'running')"
TOOK = """
SELECT extract(epoch FROM max(finished_at) - min(started_at)),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - started_at))
FROM jobs_job WHERE kind = 'compute' AND status = 'succeeded'
"""


def main() -> None:
    if not engine_answers():
        sys.exit("no Docker engine answers (docker info): this benchmark needs one")
    cores = len(os.sched_getaffinity(0))
    print(f"{SLOW_JOBS} jobs that compute for a second and {SLOW_JOBS} downloads of five seconds, on {cores} cores\n")
    print("| worker pools | a task waited: p50, p95 (s) | longest (s) | all jobs done after (s) |")
    print("|---|---|---|---|")
    for answer, variables in [("single", {"WORKER_CONCURRENCY": cores}), ("split", {"WORKER_CPU_CONCURRENCY": cores})]:
        with stack(answer, variables) as running:
            print(f"| {answer} | {saturated(running)} |", flush=True)
    print(f"\n{CPU_JOBS} jobs that compute, on {cores} cores\n")
    print("| processes | all done after (s) | one job took, p50 (s) | a task waited: p50, p95 (s) | longest (s) |")
    print("|---|---|---|---|---|")
    for processes in (1, cores, 2 * cores):
        with stack("split", {"WORKER_CPU_CONCURRENCY": processes}) as running:
            print(f"| {processes} | {computed(running)} |", flush=True)


@contextmanager
def stack(worker_pools: str, variables: dict[str, int]) -> Iterator[Stack]:
    """Start a project with these variables, in which the processes that compute may use all CPUs."""
    with tempfile.TemporaryDirectory() as folder:
        answers = {"worker_pools": worker_pools}
        project = Path(cookiecutter(str(TEMPLATE), no_input=True, output_dir=folder, extra_context=answers))
        server.prepare(project)
        split = worker_pools == "split"
        with (project / "example/jobs.py").open("a") as code:
            code.write(ADDITIONS.format(cpu='queue="cpu"' if split else "", io='queue="io"' if split else ""))
        with (project / "example/tasks.py").open("a") as code:
            code.write(TASK)
        for name, value in variables.items():
            env = project / ".env"
            env.write_text(re.sub(rf"(?m)^{name}=\d+$", f"{name}={value}", env.read_text()))
        cores = len(os.sched_getaffinity(0))
        limit = "${WORKER_CPU_CONCURRENCY:-1}" if split else "${WORKER_CPUS:-1}"
        replace(project / "compose.prod.yaml", limit, str(cores))
        (project / "compose.slow.yaml").write_text(SLOW_SERVER)
        running = Stack(project, f"bench-{os.getpid()}", [*server.FILES, "compose.slow.yaml"])
        try:
            running.up()
            running.shell("from example.tasks import note_time; note_time.delay().get(timeout=60)")
            yield running
        finally:
            running.down()


def saturated(stack: Stack) -> str:
    stack.shell(SUBMIT.format(kinds=["compute", "download"], count=SLOW_JOBS))
    began = time.monotonic()
    waited = summary(stack)
    wait_for(lambda: stack.sql(UNFINISHED) == [["0"]], "the end of all jobs", 1200)
    return f"{waited} | {time.monotonic() - began:.0f}"


def computed(stack: Stack) -> str:
    stack.shell(SUBMIT.format(kinds=["compute"], count=CPU_JOBS))
    waited = summary(stack)
    wait_for(lambda: stack.sql(UNFINISHED) == [["0"]], "the end of all jobs", 600)
    [[together, each]] = stack.sql(TOOK)
    return f"{float(together):.1f} | {float(each):.1f} | {waited}"


def summary(stack: Stack) -> str:
    """Send the tasks, and return how long they waited."""
    seconds = [float(word) for word in stack.shell(SEND).split()]
    p50, p95 = statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]
    return f"{p50:.2f}, {p95:.2f} | {max(seconds):.1f}"


if __name__ == "__main__":
    main()
