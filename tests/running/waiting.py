"""Waiting for a condition, with a limit."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


class TookTooLong(AssertionError):
    """A condition did not come true in time; the text says which."""


def wait_for(condition: Callable[[], Value], what: str, seconds: float) -> Value:
    """Return the first true value of `condition()`. Raises TookTooLong naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TookTooLong(f"{what}: not within {seconds:g} s")
        time.sleep(0.2)
    return value
