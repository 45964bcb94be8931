"""Functions that run at the same time, each with a database connection of its own."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from django.db import connections


@contextmanager
def in_threads(*functions: Callable) -> Iterator[list[Future]]:
    """Start each function in a thread of its own, all at the same moment. Yields their futures.

    At the end of the block all threads are waited for, and the first error of a function is raised.
    """
    together = threading.Barrier(len(functions))

    def start(function):
        together.wait(timeout=10)
        try:
            return function()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(functions)) as pool:
        futures = [pool.submit(start, function) for function in functions]
        yield futures
        for future in futures:
            future.result(timeout=60)


def results_of(*functions: Callable) -> list:
    """Call the functions at the same time, and return their results."""
    with in_threads(*functions) as futures:
        return [future.result(timeout=60) for future in futures]
