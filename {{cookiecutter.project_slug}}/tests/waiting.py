"""Waiting for what happens elsewhere: a worker, a database row."""

import time


def wait_for(condition, what: str, seconds: float = 10):
    """Return the first true value of `condition()`; AssertionError naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)
    return value
