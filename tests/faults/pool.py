"""Kills two processes of the worker's pool, as the kernel does when memory is short. Fed to `python -` in the
container; prints their ids.
"""

import os
import signal
from pathlib import Path


def is_celery(process: Path) -> bool:
    return (process / "cmdline").read_bytes().split(b"\0")[1].endswith(b"/celery")


def parent_of(process: Path) -> Path:
    return Path("/proc", (process / "stat").read_text().rsplit(")", 1)[1].split()[1])


def pool() -> list[int]:
    """Return the ids of celery's processes whose parent is celery as well: its main process."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if is_celery(process) and is_celery(parent_of(process)):
                found.append(int(process.name))
        except (OSError, IndexError):  # it has ended meanwhile, or has no arguments
            continue
    return found


killed = pool()[:2]
for pid in killed:
    os.kill(pid, signal.SIGKILL)
print(*killed)
