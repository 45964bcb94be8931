"""A batch of work on a running stack, a fault while it is worked on, and what became of it."""

import json
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.faults.tally import Tally, write
from tests.running.stack import Stack
from tests.running.waiting import TookTooLong, wait_for

BACK_AT_WORK = 90  # seconds after a fault's end in which every job has begun its last attempt
WAYS = ("plain", "ledger")
UNFINISHED = ("waiting", "running")
KEPT = "dead-letters"  # the queue of messages that were given up

RUNS = """
SELECT way, number, count(*), extract(epoch FROM max(finished_at)) FROM load_run WHERE batch = '{batch}'
GROUP BY way, number
"""
JOBS = """
SELECT arguments->>'number', status, attempts, extract(epoch FROM started_at) FROM jobs_job
WHERE arguments->>'batch' = '{batch}'
"""


@dataclass(frozen=True)
class Sent:
    """What the callers met who submitted a batch, one way."""

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
    plain: int = 0,
    jobs: int = 0,
    seconds: float = 0,
    task: str = "plain",
    environment: dict[str, str] | None = None,
) -> dict[str, Sent]:
    """Submit a batch from web, with these changes of its environment; return what the callers of each way met."""
    changes = [f"--env={name}={value}" for name, value in (environment or {}).items()]
    command = ["python", "manage.py", "submit", batch, "--plain", str(plain), "--jobs", str(jobs)]
    command += ["--seconds", str(seconds), "--task", task]
    done = stack.compose("exec", "--no-TTY", *changes, "web", *command)
    print(done.stderr)  # pytest shows it when the test fails
    return {way: Sent(**met) for way, met in json.loads(done.stdout).items()}


class Trial:
    """Used in a `with`: the block submits work and makes a fault and undoes it; its end is the fault's end. Then the
    stack is made healthy, whatever happened, and if the block raised nothing, the batch is waited for, at most
    `seconds`, counted and judged.

    `late`: the ways whose work comes back by a time limit. Other trials may run meanwhile; settle() judges them.
    """

    def __init__(
        self,
        stack: Stack,
        broker: str,
        case: str,
        file: Path,
        seconds: float = 120,
        late: Iterable[str] = (),
    ):
        self.stack, self.broker, self.case, self.file = stack, broker, case, file
        self.seconds, self.late = seconds, late
        self.batch = f"{case[0]}-{secrets.token_hex(3)}"
        self.sent = {way: Sent(0, [], [], 0) for way in WAYS}
        self.fault_ended = 0.0  # since the epoch, as all times here: containers share this machine's clock

    def submit(self, plain: int, jobs: int, seconds: float = 0, task: str = "plain") -> None:
        """Submit plain tasks and jobs that work for `seconds` each."""
        self.sent = send(self.stack, self.batch, plain, jobs, seconds, task)

    def wait_until_worked_on(self, count: int = 30) -> None:
        """Return when `count` of each way are finished. Raises TookTooLong after a minute."""

        def worked_on():
            return all(len(self.runs()[way]) >= min(count, self.sent[way].submitted) for way in WAYS)

        wait_for(worked_on, f"{count} finished of each way", seconds=60)

    def wait_until_started(self) -> None:
        """Return when the first job runs. Raises TookTooLong after a minute."""
        wait_for(lambda: any(job["status"] == "running" for job in self.jobs()), "the start of a job", seconds=60)

    def __enter__(self) -> "Trial":
        return self

    def __exit__(self, error, *_) -> None:
        self.fault_ended = time.time()
        make_healthy(self.stack)
        in_time = [way for way in WAYS if way not in self.late]
        if in_time and not error:
            with suppress(TookTooLong):  # the tallies say how many are not
                wait_for(lambda: self.finished(in_time), "the whole batch", self.seconds)
            complaints = self.complaints(in_time)
            assert not complaints, "\n".join(complaints)

    def runs(self) -> dict[str, dict[int, tuple[int, float]]]:
        """Return for each way and number how often it was finished, and when for the last time."""
        found: dict[str, dict] = {way: {} for way in WAYS}
        for way, number, executions, finished_at in self.stack.sql(RUNS.format(batch=self.batch)):
            found.setdefault(way, {})[int(number)] = int(executions), float(finished_at)
        return found

    def jobs(self) -> list[dict]:
        """Return the rows of the batch's jobs."""
        names = ["number", "status", "attempts", "started_at"]
        return [dict(zip(names, row, strict=True)) for row in self.stack.sql(JOBS.format(batch=self.batch))]

    def finished(self, ways: Iterable[str]) -> bool:
        """Are all that were accepted finished, these ways?"""
        runs = self.runs()
        return all(self.sent[way].accepted <= runs[way].keys() for way in ways)

    def over(self) -> bool:
        """Can nothing of the batch be started any more?"""
        return not self.messages() and not any(job["status"] in UNFINISHED for job in self.jobs())

    def messages(self) -> int:
        """Return how many messages the broker has, KEPT aside: with Redis of this batch, with RabbitMQ of all."""
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

    def tally(self, way: str) -> Tally:
        """Count one way's half of the batch, write it to the file, and return it."""
        sent, runs = self.sent[way], self.runs()[way]
        unfinished = sent.accepted - runs.keys()
        stuck = 0
        if unfinished and way == "plain":
            stuck = min(len(unfinished), self.messages())
        elif unfinished:
            stuck = sum(job["status"] in UNFINISHED for job in self.jobs())
        last = max((finished_at for _, finished_at in runs.values()), default=None)
        tally = Tally(
            broker=self.broker,
            case=self.case,
            way=way,
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
        write(tally, self.file)
        return tally

    def complaints(self, ways: Iterable[str] = WAYS) -> list[str]:
        """Count these ways' halves of the batch, and return what is wrong."""
        judges = {"plain": self._complaints_of_plain, "ledger": self._complaints_of_ledger}
        return [complaint for way in ways for complaint in judges[way](self.tally(way))]

    def _complaints_of_plain(self, tally: Tally) -> Iterator[str]:
        """What was accepted is finished at least once; who was refused has got an exception."""
        if tally.lost or tally.stuck:
            yield f"plain tasks are lost or stuck: {tally}"

    def _complaints_of_ledger(self, tally: Tally) -> Iterator[str]:
        """Nothing is refused, lost, stuck or worked twice, and work goes on in time."""
        if tally.refused or tally.lost or tally.stuck or tally.twice:
            yield f"jobs are refused, lost, stuck or worked twice: {tally}"
        back = max(float(job["started_at"] or 0) for job in self.jobs()) - self.fault_ended
        if back > BACK_AT_WORK:
            yield f"a job was started only {back:.0f} s after the fault: {tally}"


def make_healthy(stack: Stack) -> None:
    """Start what was stopped, and wait until all is healthy. Raises StackError, and TookTooLong after three minutes."""
    services = set(stack.compose("config", "--services").stdout.split()) - {"migrate"}
    # One by one, and not with --wait: compose gives up at once when one is still unhealthy, as after a pause.
    for service in services - set(stack.compose("ps", "--services", "--status", "running").stdout.split()):
        stack.compose("up", "--detach", "--no-deps", service)
    wait_for(lambda: not stack.not_healthy(), "a healthy stack", seconds=180)


def settle(trials: list[Trial], seconds: float) -> None:
    """Wait, at most `seconds` from the last fault's end, until no message and no row would start anything again; then
    count and judge it for good.
    """
    end = max((trial.fault_ended for trial in trials), default=0) + seconds
    for trial in trials:
        with suppress(TookTooLong):  # the tally says how many are not
            wait_for(trial.over, "the end of the batch", max(1, end - time.time()))
    complaints = [complaint for trial in trials for complaint in trial.complaints()]
    assert not complaints, "\n".join(complaints)
