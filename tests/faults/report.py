"""Writes what the whole fault suite has counted into docs/faults.md: `make faults`"""

import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.answers import TEMPLATE
from tests.faults import counts

PAGE = TEMPLATE / "docs" / "faults.md"
BROKERS = ("redis", "rabbitmq")
ONLY_REDIS = ("t", "u")  # cases that RabbitMQ does not know
CASE = re.compile(r"^\| ([a-z]) \|", re.MULTILINE)  # a line of the page's list of cases
BETWEEN = re.compile(r"(<!-- measured: make faults -->\n).*(<!-- end -->)", re.DOTALL)


def main() -> None:
    path = counts.file(long=True)
    if not path.exists():
        sys.exit("nothing to report: only `make faults` runs the whole suite")
    lines = counts.read(path)
    done = {(it.case[0], it.broker) for it in lines}
    expected = {(case, broker) for case in CASE.findall(PAGE.read_text()) for broker in BROKERS}
    missing = expected - {(case, "rabbitmq") for case in ONLY_REDIS} - done
    if missing:
        sys.exit(f"nothing to report: only part of the suite has run, without {sorted(missing)}")
    parts = [machine(path), cases(lines), eviction(counts.FOLDER / "eviction.jsonl")]
    measured = "\n\n".join(parts)
    text, found = BETWEEN.subn(lambda marks: f"{marks[1]}\n{measured}\n\n{marks[2]}", PAGE.read_text())
    assert found == 1, f"{PAGE.name} has no place for the table"
    PAGE.write_text(text)


def machine(path: Path) -> str:
    """Return when and on what it was measured."""
    day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
    versions: dict[str, str] = {}
    for file in sorted(counts.FOLDER.glob("versions-*.json")):
        versions |= json.loads(file.read_text())
    with_versions = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"Measured on {day}, {os.cpu_count()} cores: {with_versions}."


def cases(lines: list[counts.Counts]) -> str:
    """Return a table with a line for each case and broker, and for tasks and jobs."""
    head = ["case", "broker", "as", "submitted", "refused", "finished", "lost", "stuck", "twice"]
    head += ["last one after (s)", "slowest caller (s)"]
    rows = []
    for it in lines:
        refused = f"{it.refused}: {', '.join(it.errors)}" if it.refused else 0
        last = "-" if it.last is None else max(0, it.last)
        numbers = [it.submitted, refused, it.finished, it.lost, it.stuck, it.twice]
        rows.append([it.case, it.broker, it.sent_as, *numbers, last, it.slowest])
    return table(head, rows)


def eviction(path: Path) -> str:
    """Return the table of the experiment with a server that is full."""
    newest = {line["policy"]: line for line in map(json.loads, path.read_text().splitlines())}
    head = ["`maxmemory-policy`", "queued", "left when full", "cache entries refused", "the next publisher is told"]
    return table(head, [list(line.values()) for line in newest.values()])


def table(head: list[str], rows: list[list]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    main()
