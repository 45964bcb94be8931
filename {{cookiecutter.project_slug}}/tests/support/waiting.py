"""Waiting for what happens elsewhere, for example in a worker or in the database."""

import time


def wait_for(condition, what: str, seconds: float = 10):
    """Return the first true value of `condition()`. Raises AssertionError, which names `what`, after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)
    return value
