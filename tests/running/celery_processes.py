"""Sends a signal to Celery's processes. Python in their container reads this script from standard input: `python -
SIGNAL main`, or `python - SIGNAL pool [HOW_MANY]` for the main process's children, all or some. Prints their ids.
"""

import os
import signal
import sys
from pathlib import Path


def is_celery(process: Path) -> bool:
    return (process / "cmdline").read_bytes().split(b"\0")[1].endswith(b"/celery")


def parent_of(process: Path) -> Path:
    return Path("/proc", (process / "stat").read_text().rsplit(")", 1)[1].split()[1])


def is_main(process: Path) -> bool:
    try:
        return not is_celery(parent_of(process))
    except (OSError, IndexError):  # a parent without arguments
        return True


def processes() -> list[Path]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if is_celery(process):
                found.append(process)
        except (OSError, IndexError):  # it has ended meanwhile, or has no arguments
            continue
    return found


name, role, *how_many = sys.argv[1:]
chosen = [int(process.name) for process in processes() if is_main(process) == (role == "main")]
if how_many:
    chosen = chosen[: int(how_many[0])]
for pid in chosen:
    os.kill(pid, signal.Signals[name])
print(*chosen)
