"""The answers that cookiecutter.json offers, and which combinations of them a test takes."""

import json
from itertools import combinations, product
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[1]
CONTEXT = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
PROMPTS = [name for name in CONTEXT if not name.startswith("_")]

Answers = dict[str, str | bool]


def _choices(value: object) -> list:
    if isinstance(value, bool):
        return [value, not value]
    return value if isinstance(value, list) else []


OPTIONS = {name: _choices(CONTEXT[name]) for name in PROMPTS if _choices(CONTEXT[name])}

# The prompts whose choices bring packages.
PACKAGE_PROMPTS = ("broker", "result_backend", "beat", "rest_api")


def every(*names: str) -> list[Answers]:
    """Return each combination of the choices of these prompts (of all prompts with choices if none is named)."""
    names = names or tuple(OPTIONS)
    return [dict(zip(names, values, strict=True)) for values in product(*(OPTIONS[name] for name in names))]


def _pairs(answers: Answers) -> set:
    return set(combinations(answers.items(), 2))


def every_pair() -> list[Answers]:
    """Return few combinations in which any two choices of different prompts meet at least once (greedy cover)."""
    rows = every()
    missing = set().union(*map(_pairs, rows))
    taken = []
    while missing:
        taken.append(max(rows, key=lambda row: len(_pairs(row) & missing)))
        missing -= _pairs(taken[-1])
    return taken


def every_with_others(*names: str) -> list[Answers]:
    """Return each combination of the choices of these prompts once, the others answered so that any two choices of all
    prompts meet. Raises AssertionError if there are too few combinations for that.
    """
    missing = set().union(*map(_pairs, every()))
    taken = []
    for wanted in every(*names):
        rows = [row for row in every() if wanted.items() <= row.items()]
        taken.append(max(rows, key=lambda row: len(_pairs(row) & missing)))
        missing -= _pairs(taken[-1])
    assert not missing, f"these never meet: {missing}"
    return taken


def named(answers: Answers) -> str:
    """Return the answers as a test's id: redis-none-beat."""
    words = [name if value is True else f"no {name}" if value is False else value for name, value in answers.items()]
    return "-".join(words)
