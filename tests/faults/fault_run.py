"""A batch of work on a running stack, a fault while it is worked on, and what became of it."""

import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.counts import Counts, write
from tests.running.stack import Stack
from tests.running.waiting import TookTooLong, wait_for

# Every job must have begun its last attempt within this many seconds after a fault's end. Stacks that share a machine
# get more time.
BACK_AT_WORK = 150 if "PYTEST_XDIST_WORKER" in os.environ else 90
WAYS = ("tasks", "jobs")  # how work is submitted: as plain tasks, or as jobs
UNFINISHED = ("waiting", "running")
KEPT = "dead-letters"  # the queue of messages that were given up

RUNS = """
SELECT sent_as, number, count(*), extract(epoch FROM max(finished_at)) FROM load_run WHERE batch = '{batch}'
GROUP BY sent_as, number
"""
# Prints how many tasks of the batch the workers are running.
ACTIVE = "from config.celery import app; print(str(app.control.inspect(timeout=5).active()).count({batch!r}))"
JOBS = """
SELECT arguments->>'number', status, attempts, extract(epoch FROM started_at) FROM jobs_job
WHERE arguments->>'batch' = '{batch}'
"""


@dataclass(frozen=True)
class Sent:
    """What happened to the callers that submitted the tasks, or the jobs, of a batch."""

    submitted: int
    refused: list[int]  # the numbers whose callers got an exception
    errors: list[str]
    slowest: float  # seconds

    @property
    def accepted(self) -> set[int]:
        return set(range(self.submitted)) - set(self.refused)


def send(
    stack: Stack,
    batch: str,
    tasks: int = 0,
    jobs: int = 0,
    seconds: float = 0,
    function: str = "plain",
    environment: dict[str, str] | None = None,
    once_connected: Callable[[], object] | None = None,
) -> dict[str, Sent]:
    """Submit a batch from web, with these changes of its environment. Return what happened to its callers, for each of
    WAYS.

    `once_connected` is called when the process that submits has a connection to the broker, before it submits.
    """
    changes = [f"--env={name}={value}" for name, value in (environment or {}).items()]
    command = ["python", "manage.py", "submit", batch, "--tasks", str(tasks), "--jobs", str(jobs)]
    command += ["--seconds", str(seconds), "--function", function]
    if once_connected:
        command.append("--warm")
    start = ["docker", "compose", "exec", "--no-TTY", *changes, "web", *command]
    pipes: dict[str, Any] = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.PIPE)
    with subprocess.Popen(start, cwd=stack.folder, env=stack.environment, text=True, **pipes) as process:
        if once_connected:
            assert process.stdout.readline() == "warm\n", process.stderr.read()
            once_connected()
        met, errors = process.communicate("go\n")
    print(errors)  # pytest shows it when the test fails
    assert process.returncode == 0, errors
    return {way: Sent(**its) for way, its in json.loads(met).items()}


class FaultRun:
    """One fault. Use it in a `with`, whose block submits work, makes a fault and undoes it.

    `ways`: which of WAYS it counts. A project without jobs has only tasks. `late`: the ways whose work comes back only
    when a lease, or Redis's visibility timeout, is over. It is not waited for, so that other runs can begin.
    wait_until_idle() judges everything at the end.

    When the block ends, the fault counts as ended, and the stack is made healthy, even after an error. If the block has
    raised no error, this waits up to `seconds` for the tasks and jobs, except for those that `late` names. It counts
    them, and raises AssertionError if something is wrong.
    """

    def __init__(
        self,
        stack: Stack,
        broker: str,
        case: str,
        file: Path,
        ways: Iterable[str] = WAYS,
        seconds: float = 120,
        late: Iterable[str] = (),
    ):
        self.stack, self.broker, self.case, self.file = stack, broker, case, file
        self.ways, self.seconds, self.late = ways, seconds, late
        self.batch = f"{case[0]}-{secrets.token_hex(3)}"
        self.sent = {way: Sent(0, [], [], 0) for way in WAYS}
        self.fault_ended = 0.0  # since the epoch, as all times here: containers share this machine's clock

    def submit(
        self,
        tasks: int,
        jobs: int,
        seconds: float = 0,
        function: str = "plain",
        once_connected: Callable[[], object] | None = None,
    ) -> None:
        """Submit plain tasks, and jobs if the project has any, that work for `seconds` each: see send()."""
        jobs = jobs if "jobs" in self.ways else 0
        self.sent = send(self.stack, self.batch, tasks, jobs, seconds, function, once_connected=once_connected)

    def wait_until_worked_on(self, count: int = 30) -> None:
        """Wait until `count` of each way are finished. Raises TookTooLong after a minute."""

        def worked_on() -> bool:
            return all(len(self.runs()[way]) >= min(count, self.sent[way].submitted) for way in self.ways)

        wait_for(worked_on, f"{count} finished of each way", seconds=60)

    def wait_until_started(self) -> None:
        """Wait until the first job runs, or the first task if there are no jobs. Raises TookTooLong after a minute."""

        def started() -> bool:
            if "jobs" in self.ways:
                return any(job["status"] == "running" for job in self.jobs())
            return self.stack.shell(ACTIVE.format(batch=self.batch)) != "0"

        wait_for(started, "the start of the first one", seconds=60)

    def __enter__(self) -> "FaultRun":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self.fault_ended = time.time()
        make_healthy(self.stack)
        in_time = [way for way in self.ways if way not in self.late]
        if in_time and not error:
            with suppress(TookTooLong):  # the counts say how many are not finished
                wait_for(lambda: self.finished(in_time), "the whole batch", self.seconds)
            violations = self.violations(in_time)
            assert not violations, "\n".join(violations)

    def runs(self) -> dict[str, dict[int, tuple[int, float]]]:
        """Return for each way and number how often it was finished, and when for the last time."""
        found: dict[str, dict] = {way: {} for way in WAYS}
        for way, number, executions, finished_at in self.stack.sql(RUNS.format(batch=self.batch)):
            found.setdefault(way, {})[int(number)] = int(executions), float(finished_at)
        return found

    def jobs(self) -> list[dict]:
        """Return the rows of the batch's jobs. The list is empty if the project has no jobs."""
        if "jobs" not in self.ways:
            return []
        names = ["number", "status", "attempts", "started_at"]
        return [dict(zip(names, row, strict=True)) for row in self.stack.sql(JOBS.format(batch=self.batch))]

    def finished(self, ways: Iterable[str]) -> bool:
        """Has everything that was accepted in these ways finished?"""
        runs = self.runs()
        return all(self.sent[way].accepted <= runs[way].keys() for way in ways)

    def over(self) -> bool:
        """Can nothing of the batch be started any more?"""
        return not any(job["status"] in UNFINISHED for job in self.jobs()) and not self.messages()

    def messages(self) -> int:
        """Return how many messages the broker has outside the queue KEPT. Redis: those of this batch's tasks.
        RabbitMQ: those of all batches.
        """
        if self.broker == "redis":
            keys = [["LRANGE", "default", "0", "-1"], ["HVALS", "unacked"]]
            done = [self.stack.redis("redis", *key) for key in keys]
            # each message's headers hold its arguments as a text for people
            return sum(len(re.findall(rf"argsrepr[^(]*\('{self.batch}'", answer)) for answer in done)
        command = ["rabbitmqctl", "list_queues", "--silent", "--vhost", self.stack.folder.name, "name", "messages"]
        queues = self.stack.compose("exec", "--no-TTY", "rabbitmq", *command).stdout.splitlines()
        counts = dict(line.split("\t") for line in queues)
        counts.pop(KEPT, None)
        return sum(map(int, counts.values()))

    def count(self, way: str) -> Counts:
        """Count the batch's tasks, or its jobs (`way`), write the counts to the file, and return them."""
        sent, runs = self.sent[way], self.runs()[way]
        unfinished = sent.accepted - runs.keys()
        stuck = 0
        if unfinished and way == "tasks":
            stuck = min(len(unfinished), self.messages())
        elif unfinished:
            stuck = sum(job["status"] in UNFINISHED for job in self.jobs())
        last = max((finished_at for _, finished_at in runs.values()), default=None)
        counts = Counts(
            broker=self.broker if "jobs" in self.ways else f"{self.broker}, jobs: none",
            case=self.case,
            sent_as=way,
            submitted=sent.submitted,
            refused=len(sent.refused),
            errors=sent.errors,
            slowest=sent.slowest,
            finished=len(runs),
            lost=len(unfinished) - stuck,
            stuck=stuck,
            twice=sum(executions > 1 for executions, _ in runs.values()),
            last=last and round(last - self.fault_ended, 1),
        )
        write(counts, self.file)
        return counts

    def violations(self, ways: Iterable[str] | None = None) -> list[str]:
        """Count the batch's tasks, jobs or both (`ways`), and return what is wrong."""
        judges = {"tasks": self._violations_of_tasks, "jobs": self._violations_of_jobs}
        return [violation for way in ways or self.ways for violation in judges[way](self.count(way))]

    def _violations_of_tasks(self, counts: Counts) -> Iterator[str]:
        """Every accepted task must finish at least once."""
        if counts.lost or counts.stuck:
            yield f"plain tasks are lost or stuck: {counts}"

    def _violations_of_jobs(self, counts: Counts) -> Iterator[str]:
        """Nothing is refused, lost, stuck or worked on twice, and work goes on in time."""
        if counts.refused or counts.lost or counts.stuck or counts.twice:
            yield f"jobs are refused, lost, stuck or worked on twice: {counts}"
        back = max(float(job["started_at"] or 0) for job in self.jobs()) - self.fault_ended
        if back > BACK_AT_WORK:
            yield f"a job was started only {back:.0f} s after the fault: {counts}"


def make_healthy(stack: Stack) -> None:
    """Start what was stopped, and wait until all is healthy. Raises StackError, and TookTooLong after three minutes."""
    services = set(stack.services()) - {"migrate"}
    # One by one, and not with --wait: compose gives up at once when one is still unhealthy, as after a pause.
    for service in services - set(stack.compose("ps", "--services", "--status", "running").stdout.split()):
        stack.compose("up", "--detach", "--no-deps", service)
    wait_for(lambda: not stack.not_healthy(), "a healthy stack", seconds=180)


def wait_until_idle(fault_runs: list[FaultRun], seconds: float) -> None:
    """Wait, at most `seconds` from the last fault's end, until no message and no row would start anything again; then
    count and judge it for good.
    """
    end = max((fault_run.fault_ended for fault_run in fault_runs), default=0) + seconds
    for fault_run in fault_runs:
        with suppress(TookTooLong):  # the counts say how many are not finished
            wait_for(fault_run.over, "the end of the batch", max(1, end - time.time()))
    violations = [violation for fault_run in fault_runs for violation in fault_run.violations()]
    assert not violations, "\n".join(violations)
