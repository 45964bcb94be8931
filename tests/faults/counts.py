"""How many of a batch were lost or worked on twice: a line of the table in docs/faults.md."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.answers import TEMPLATE

FOLDER = TEMPLATE / ".faults"


@dataclass(frozen=True)
class Counts:
    """How the plain tasks, or the jobs, of a batch came through a fault."""

    broker: str  # and "jobs: none" for a project without jobs
    case: str  # the letter of the case in docs/faults.md, and what happened
    sent_as: str  # tasks, jobs or tick
    submitted: int
    refused: int  # the caller got an exception
    errors: list[str]  # which ones
    slowest: float  # seconds that the slowest caller waited
    finished: int  # how many of them finished at least once
    lost: int  # accepted, not finished, and no message is in the broker (for a job: its row has ended)
    stuck: int  # accepted, not finished, and the broker still has a message (a job: its row waits or runs)
    twice: int  # finished more than once
    last: float | None  # seconds from the end of the fault until the last one finished

    @property
    def key(self) -> tuple[str, str, str]:
        return self.case, self.broker, self.sent_as


def file(long: bool) -> Path:
    """Return the file with one line for each of the Counts; a later one of the same case replaces an earlier one."""
    return FOLDER / ("long.jsonl" if long else "short.jsonl")


def write(counts: Counts, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as lines:
        lines.write(json.dumps(asdict(counts)) + "\n")


def read(path: Path) -> list[Counts]:
    """Return a list with the newest Counts of each case, broker and way, in this order."""
    newest = {counts.key: counts for counts in (Counts(**json.loads(line)) for line in path.read_text().splitlines())}
    return [newest[key] for key in sorted(newest)]
