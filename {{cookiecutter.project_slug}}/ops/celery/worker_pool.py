"""What the project knows about its workers. config/settings/capacity.py lists them, and compose.yaml starts them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WorkerPool:
    """The workers of one service of compose.yaml."""

    concurrency: int
    """How many tasks one worker runs at the same time, at most."""
    replicas: int
    """How many workers there are."""
    queues: tuple[str, ...] = ()
    """The names after the worker's option --queues. Without that option a worker consumes all queues."""
    has_threads: bool = False
    """Whether tasks run in threads of one process. Otherwise each task has a process."""

    @property
    def capacity(self) -> int:
        """How many tasks all of these workers run at the same time, at most."""
        return self.concurrency * self.replicas

    def consumes(self, queue: str) -> bool:
        """Return whether these workers take messages from the queue with this name."""
        return not self.queues or queue in self.queues
