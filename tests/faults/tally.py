"""What became of a batch: a line of the table."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.answers import TEMPLATE

FOLDER = TEMPLATE / ".faults"


@dataclass(frozen=True)
class Tally:
    """How a batch of plain tasks, or of jobs of the ledger, came through a fault."""

    broker: str
    case: str  # the letter, and what happened
    way: str  # plain or ledger
    submitted: int
    refused: int  # the caller got an exception
    errors: list[str]  # which ones
    slowest: float  # seconds that the slowest caller waited
    finished: int  # different ones, at least once
    lost: int  # accepted, not finished, and the broker has nothing of them (a job: its row says that it has ended)
    stuck: int  # accepted, not finished, and the broker still has a message (a job: its row waits or runs)
    twice: int  # finished more than once
    last: float | None  # seconds from the end of the fault until the last one finished

    @property
    def key(self) -> tuple[str, str, str]:
        return self.case, self.broker, self.way


def file(long: bool) -> Path:
    """Return the file with a tally a line; a later one of the same case replaces the earlier."""
    return FOLDER / ("long.jsonl" if long else "short.jsonl")


def write(tally: Tally, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as lines:
        lines.write(json.dumps(asdict(tally)) + "\n")


def read(path: Path) -> list[Tally]:
    """Return the newest tally of each case, by the cases' letters."""
    newest = {tally.key: tally for tally in (Tally(**json.loads(line)) for line in path.read_text().splitlines())}
    return [newest[key] for key in sorted(newest)]
