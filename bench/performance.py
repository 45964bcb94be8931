"""Compares jobs with those of procrastinate and django-tasks-db, and measures how much time it saves to keep database
connections open: `make bench`

The production stack works off jobs that take no time, so this measures the engines. The peers are small projects in
bench/engines/. They use the stack's PostgreSQL, and as many processes and as much CPU as the stack's worker. All take
turns in each round, and the tables show the medians of the rounds. Needs Docker; takes half an hour.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cookiecutter.main import cookiecutter

from tests.answers import TEMPLATE
from tests.running import server
from tests.running.stack import Stack, StackError, engine_answers
from tests.running.waiting import wait_for

ENGINES = Path(__file__).with_name("engines")
IDLE_SECONDS = 30
LATENCIES = 60  # jobs that are submitted one after the other

SUBMIT = """
import time, django
django.setup()
{imports}
submit()  # the first one connects to the database
began = time.time()
for _ in range({count}):
    submit()
print({count} / (time.time() - began))
"""
SUBMIT_ONE_BY_ONE = """
import random, time, django
django.setup()
from django.db import connection
{imports}

def unfinished():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ({work}) AS work WHERE finished IS NULL")
        return cursor.fetchone()[0]

for _ in range({count}):
    began = time.time()
    submit()
    while unfinished():
        time.sleep(0.005)
    print(began)
    time.sleep(random.uniform(0, 0.05))
"""
# A task with a single query, and settings under which each task opens a new connection, as Celery does by default.
ONE_QUERY = """

@shared_task(bind=True, ignore_result=True)
def one_query(self):
    TaskRun.objects.create(task_id=self.request.id, task_name="one_query", worker=self.request.hostname)
"""
NEW_CONNECTIONS = "from config.settings.prod import *\n\nCELERY_DB_REUSE_MAX = None\n"
TASKS_TOOK = """
SELECT extract(epoch FROM max(finished_at) - min(finished_at)) FROM example_taskrun WHERE task_name = 'one_query'
"""
CONNECTIONS = {"a new connection for each task": "config.settings.new_connections", "kept": "config.settings.prod"}
# Nanoseconds, from whichever version of cgroups the machine has.
CPU_USED = """
cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2> /dev/null || awk '/usage_usec/ {print $2 * 1000}' /sys/fs/cgroup/cpu.stat
"""
SETTINGS = """
services:
  worker:
    environment:
      DJANGO_SETTINGS_MODULE: ${WORKER_SETTINGS:-config.settings.prod}
"""


@dataclass(frozen=True)
class Engine:
    """How to submit a job that adds two numbers, and where its row is."""

    name: str
    worker: str  # the service with two processes
    web: str  # the service from which jobs are submitted
    database: str
    imports: str  # Python that defines submit()
    work: str  # SQL: when each job was started and finished
    empty: str  # SQL: deletes all jobs
    others: list[str] = field(default_factory=list)  # services that work when the worker works


PEERS = [
    Engine(
        name="procrastinate",
        worker="procrastinate",
        web="procrastinate-web",
        database="procrastinate",
        imports="from procrastinate_project.tasks import submit",
        work="SELECT min(at) FILTER (WHERE type = 'started') AS started, min(at) FILTER (WHERE type = 'succeeded')"
        " AS finished FROM procrastinate_events GROUP BY job_id",
        empty="TRUNCATE procrastinate_jobs CASCADE",
    ),
    Engine(
        name="django-tasks-db",
        worker="django-tasks-db",
        web="django-tasks-db-web",
        database="django_tasks_db",
        imports="from django_tasks_db_project.tasks import submit",
        work="SELECT started_at AS started, finished_at AS finished FROM django_tasks_database_dbtaskresult",
        empty="TRUNCATE django_tasks_database_dbtaskresult CASCADE",
    ),
]


def ours(broker: str) -> Engine:
    return Engine(
        name=f"jobs of this template, broker {broker}",
        worker="worker",
        web="web",
        database="my_project",
        imports="from jobs import submit as submit_job\nsubmit = lambda: submit_job('add', x=1, y=1)",
        work="SELECT started_at AS started, finished_at AS finished FROM jobs_job",
        empty="TRUNCATE jobs_job CASCADE",
        others=["dispatcher"],
    )


class Bench:
    """Measures engines in one stack."""

    def __init__(self, stack: Stack, broker: str, jobs: int):
        self.stack, self.broker, self.jobs = stack, broker, jobs
        self.engines = [ours(broker), *(PEERS if broker == "redis" else [])]

    def python(self, service: str, code: str) -> str:
        command = ["docker", "exec", "--interactive", self.stack.container(service), "python", "-"]
        return self.stack.run(*command, input=code, check=True).stdout

    def submit(self, engine: Engine, count: int) -> float:
        """Return how many jobs were submitted in a second."""
        return float(self.python(engine.web, SUBMIT.format(imports=engine.imports, count=count)))

    def all_done(self, engine: Engine) -> None:
        query = f"SELECT count(*) FROM ({engine.work}) AS work WHERE finished IS NULL"
        wait_for(lambda: self.stack.sql(query, engine.database) == [["0"]], "the end of all jobs", seconds=300)
        time.sleep(2)

    def wait_for_tables(self, engine: Engine) -> None:
        def are_there() -> bool:
            try:
                return bool(self.stack.sql(f"SELECT count(*) FROM ({engine.work}) AS work", engine.database))
            except StackError:
                return False

        wait_for(are_there, f"the tables of {engine.name}", seconds=60)

    def cpu(self, service: str) -> float:
        """Return the seconds of CPU that the service has used."""
        done = self.stack.run("docker", "exec", self.stack.container(service), "sh", "-c", CPU_USED, check=True)
        return int(done.stdout) / 1e9

    def let_work(self, engine: Engine) -> None:
        """Stop the workers of the other engines, and start those of this one."""
        self.docker("stop", *[name for other in self.engines for name in (other.worker, *other.others)])
        self.docker("start", engine.worker, *engine.others)

    def docker(self, action: str, *services: str) -> None:
        """Start or stop services. Not with Compose, which would first wait until the services on which they depend are
        healthy.
        """
        self.stack.run("docker", action, *[self.stack.container(service) for service in services], check=True)

    def pause(self, action: str, status: str) -> None:
        """Pause or unpause all containers that have this status."""
        mine = f"label=com.docker.compose.project={self.stack.environment['COMPOSE_PROJECT_NAME']}"
        listing = self.stack.run(
            "docker", "ps", "--quiet", "--filter", mine, "--filter", f"status={status}", check=True
        )
        self.stack.run("docker", action, *listing.stdout.split(), check=True)

    def measure(self, engine: Engine) -> dict[str, float]:
        """Return the numbers of one round, by the name of their column."""
        found: dict[str, float] = {}
        self.stack.sql(engine.empty, engine.database)
        self.docker("stop", engine.worker)
        found["submitted per second, workers stopped"] = self.submit(engine, self.jobs)
        services = [engine.worker, *engine.others, "db"]
        self.stack.sql("ANALYZE", engine.database)  # as autovacuum does within a minute
        self.docker("start", engine.worker)
        self.all_done(engine)
        timing = f"SELECT count(*), extract(epoch FROM max(finished) - min(started)) FROM ({engine.work}) AS work"
        [[count, took]] = self.stack.sql(timing, engine.database)
        found["jobs processed per second"] = int(count) / float(took)

        self.stack.sql(engine.empty, engine.database)
        code = SUBMIT_ONE_BY_ONE.format(imports=engine.imports, work=engine.work, count=LATENCIES)
        began = [float(line) for line in self.python(engine.web, code).split()]
        times = f"SELECT extract(epoch FROM finished) FROM ({engine.work}) AS work ORDER BY finished"
        finished = [float(it) for [it] in self.stack.sql(times, engine.database)]
        took_ms = sorted((end - begin) * 1000 for begin, end in zip(began, finished, strict=True))
        found["submit to finished, p50 (ms)"] = statistics.median(took_ms)
        found["p95 (ms)"] = took_ms[int(len(took_ms) * 0.95)]

        self.stack.sql(engine.empty, engine.database)
        before = {service: self.cpu(service) for service in services}
        found["submitted per second, workers run"] = self.submit(engine, self.jobs)
        self.all_done(engine)
        used = {service: self.cpu(service) - before[service] for service in services}
        found["CPU of workers and dispatcher per job (ms)"] = (sum(used.values()) - used["db"]) / self.jobs * 1000
        found["CPU of PostgreSQL per job (ms)"] = used["db"] / self.jobs * 1000

        idle = sum(self.cpu(service) for service in services[:-1])
        time.sleep(IDLE_SECONDS)
        used_idle = sum(self.cpu(service) for service in services[:-1]) - idle
        found["idle: CPU per minute (s)"] = used_idle * 60 / IDLE_SECONDS
        return found

    def measure_tasks(self, settings: str) -> dict[str, float]:
        """Return how fast a worker with these settings works off plain tasks with a single query."""
        self.stack.environment["WORKER_SETTINGS"] = settings
        self.stack.compose("up", "--detach", "--no-deps", "--no-start", "--force-recreate", "worker")
        self.stack.sql("DELETE FROM example_taskrun")
        imports = "from example.tasks import one_query\nsubmit = one_query.delay"
        self.python("web", SUBMIT.format(imports=imports, count=self.jobs))
        self.docker("start", "worker")
        count = "SELECT count(*) FROM example_taskrun WHERE task_name = 'one_query'"
        wait_for(lambda: self.stack.sql(count) == [[str(self.jobs + 1)]], "the end of all tasks", seconds=300)
        [[took]] = self.stack.sql(TASKS_TOOK)
        return {"tasks processed per second": self.jobs / float(took)}


@contextmanager
def started(broker: str, jobs: int) -> Iterator[Bench]:
    """Start the production stack, and the peers if the broker is Redis."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(cookiecutter(str(TEMPLATE), no_input=True, output_dir=folder, extra_context={"broker": broker}))
        server.prepare(project)
        with (project / "example/tasks.py").open("a") as file:
            file.write(ONE_QUERY)
        (project / "config/settings/new_connections.py").write_text(NEW_CONNECTIONS)
        (project / "compose.settings.yaml").write_text(SETTINGS)
        stack = Stack(project, f"bench-{broker}-{os.getpid()}", [*server.FILES, "compose.settings.yaml"])
        bench = Bench(stack, broker, jobs)
        try:
            stack.up()
            if broker == "redis":
                stack.environment["ENGINES"] = str(ENGINES)
                stack.environment["COMPOSE_FILE"] += f"{os.pathsep}{ENGINES / 'compose.yaml'}"
                stack.compose("build", "procrastinate")
                for peer in PEERS:
                    bench.stack.sql(f"CREATE DATABASE {peer.database}", "postgres")
                    stack.compose("up", "--detach", "--no-deps", peer.web)
                    bench.wait_for_tables(peer)
                    stack.compose("up", "--detach", "--no-deps", "--no-start", peer.worker)
            yield bench
        finally:
            stack.down()
            stack.run("docker", "image", "rm", "--force", f"{stack.environment['COMPOSE_PROJECT_NAME']}-engines")


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Return the medians of the rounds as a table: a row for each number, a column for each engine."""
    lines = ["| | " + " | ".join(rows) + " |", "|---" * (len(rows) + 1) + "|"]
    for number in next(iter(rows.values()))[0]:
        medians = [statistics.median(found[number] for found in rounds) for rounds in rows.values()]
        texts = [f"{median:.3g}" if median < 100 else f"{median:,.0f}" for median in medians]
        lines.append(f"| {number} | {' | '.join(texts)} |")
    return "\n".join(lines)


def main() -> None:
    if not engine_answers():
        sys.exit("no Docker engine answers (docker info): this benchmark needs one")
    parser = argparse.ArgumentParser(prog="bench.performance")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2000, help="how many jobs, and plain tasks, are worked off")
    options = parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    tasks: dict[str, list[dict[str, float]]] = defaultdict(list)
    with started("redis", options.jobs) as redis, started("rabbitmq", options.jobs) as rabbitmq:
        for number in range(1, options.rounds + 1):
            for bench, other in [(redis, rabbitmq), (rabbitmq, redis)]:
                other.pause("pause", "running")
                for engine in random.sample(bench.engines, len(bench.engines)):
                    bench.let_work(engine)
                    rows[engine.name].append(found := bench.measure(engine))
                    print(number, engine.name, found, file=sys.stderr, flush=True)
                bench.let_work(bench.engines[0])
                for name, settings in CONNECTIONS.items():
                    tasks[f"{bench.broker}, {name}"].append(bench.measure_tasks(settings))
                other.pause("unpause", "paused")
    names = [ours("redis").name, ours("rabbitmq").name, *(peer.name for peer in PEERS)]
    print(f"{datetime.now(UTC):%Y-%m-%d}: medians of {options.rounds} rounds, {options.jobs} jobs each\n")
    print(table({name: rows[name] for name in names}))
    print("\nplain tasks with a single query; the broker, and the connection to PostgreSQL:\n")
    print(table(tasks))


if __name__ == "__main__":
    main()
