"""Waiting for a condition, with a limit."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


class TookTooLong(AssertionError):
    """A condition did not come true in time; the text says which."""


def wait_for(condition: Callable[[], Value], what: str, seconds: float) -> Value:
    """Return the first true value of `condition()`. Raises TookTooLong naming `what` after `seconds`.

    After a slow call of `condition`, this sleeps twice as long as the call took, so that polling takes at most a third
    of the time.
    """
    now = time.monotonic()
    end = now + seconds
    while not (value := condition()):
        looked = now
        now = time.monotonic()
        if now > end:
            raise TookTooLong(f"{what}: not within {seconds:g} s")
        time.sleep(max(0.2, 2 * (now - looked)))
        now = time.monotonic()
    return value
