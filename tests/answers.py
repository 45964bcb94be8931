"""The answers that cookiecutter.json offers, and which combinations of them a test takes."""

import json
from collections.abc import Iterable
from functools import cache
from itertools import combinations, product
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[1]
PROJECT = TEMPLATE / "{{cookiecutter.project_slug}}"
CONTEXT = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
PROMPTS = [name for name in CONTEXT if not name.startswith("_")]

Answers = dict[str, str | bool]


def _choices(value: object) -> list:
    if isinstance(value, bool):
        return [value, not value]
    return value if isinstance(value, list) else []


OPTIONS = {name: _choices(CONTEXT[name]) for name in PROMPTS if _choices(CONTEXT[name])}

# The prompts whose choices bring packages.
PACKAGE_PROMPTS = ("broker", "result_backend", "beat", "jobs")
# The prompts with choices that change Python code. With the prompts in this order, every_pair() needs only nine
# combinations.
CODE_PROMPTS = ("result_backend", "broker", "beat", "jobs", "web_proxy", "worker_pools")


def every(*names: str) -> list[Answers]:
    """Return each combination of the choices of these prompts (of all prompts with choices if none is named)."""
    names = names or tuple(OPTIONS)
    return [dict(zip(names, values, strict=True)) for values in product(*(OPTIONS[name] for name in names))]


def every_pair(*names: str) -> list[Answers]:
    """Return few combinations of the choices of these prompts (of all prompts with choices if none is named) in which
    any two choices of different prompts meet at least once.
    """
    return _covering(2, names)


def every_triple() -> list[Answers]:
    """Return few combinations in which any three choices of different prompts meet at least once. A file that is wrong
    only for certain answers nearly always depends on at most three of them, so this finds what all combinations would.
    """
    return _covering(3, ())


@cache
def _covering(strength: int, names: tuple[str, ...]) -> list[Answers]:
    """Return combinations in which any `strength` choices of different prompts meet (a greedy cover)."""
    rows = every(*names)
    meetings = _meetings(strength, rows)
    missing = _union(meetings)
    taken = []
    while missing:
        best = _best(range(len(rows)), meetings, missing)
        taken.append(rows[best])
        missing &= ~meetings[best]
    return taken


def every_with_others(*names: str) -> list[Answers]:
    """Return each combination of the choices of these prompts once. The other prompts are answered so that any two
    choices of any two prompts meet somewhere. Raises AssertionError if there are too few combinations for that.
    """
    rows = every()
    meetings = _meetings(2, rows)
    missing = _union(meetings)
    left = every(*names)
    taken = []
    while left:
        fitting = [number for number, row in enumerate(rows) if {name: row[name] for name in names} in left]
        best = _best(fitting, meetings, missing)
        taken.append(rows[best])
        missing &= ~meetings[best]
        left.remove({name: rows[best][name] for name in names})
    assert not missing, f"{missing.bit_count()} pairs of choices never meet"
    return taken


def _meetings(strength: int, rows: list[Answers]) -> list[int]:
    """Return for each row which choices meet in it: an integer with a bit for each set of `strength` choices. Counting
    bits is a hundred times faster than comparing sets.
    """
    bits: dict[tuple, int] = {}
    return [
        sum(1 << bits.setdefault(meeting, len(bits)) for meeting in combinations(row.items(), strength)) for row in rows
    ]


def _best(numbers: Iterable[int], meetings: list[int], missing: int) -> int:
    """Return which of these rows has the most meetings that are still missing."""
    return max(numbers, key=lambda number: (meetings[number] & missing).bit_count())


def _union(meetings: list[int]) -> int:
    union = 0
    for meeting in meetings:
        union |= meeting
    return union


def named(answers: Answers) -> str:
    """Return the answers as a test's id: redis-none-beat."""
    words = [name if value is True else f"no {name}" if value is False else value for name, value in answers.items()]
    return "-".join(words)
