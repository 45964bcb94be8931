"""Exit with code 0 if a process is ready, and end it if it is stuck: `python -IS ops/watchdog.py worker`.

This is compose.yaml's health check of our services that have no port. It looks at the files of ops/heartbeat.py. Docker
does not restart a container because it is unhealthy, but it restarts one whose process has ended. So this ends the
process when its file `alive` is too old. It imports little, and only from the standard library, and the options -IS
let Python start quickly.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

READY_LIMIT = 60  # seconds since the last touch of `ready` after which a process is unhealthy
ALIVE_LIMIT = 180  # seconds since the last touch of `alive` after which a process is stuck
# A process is ended only if two looks, at least this many seconds apart, find it stuck and its file unchanged.
# Otherwise a machine that was suspended, or a clock that was set, would end it.
SECOND_LOOK_AFTER = 10

FOLDER = Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108  as in ops/heartbeat.py, without an import that takes long
LOG = Path("/proc/1/fd/2")  # what is written here is in the log of the container


def age(file: Path) -> float | None:
    """Return the seconds since the file was touched, or None if that has not happened since the container started.

    Where /tmp outlives a restart, the file may be the one of an earlier process.
    """
    try:
        seconds = abs(time.time() - file.stat().st_mtime)
    except FileNotFoundError:
        return None
    return seconds if seconds <= container_age() else None


def container_age() -> float:
    """Return how long ago (seconds) the container started, which is the age of its process 1."""
    started_after_boot = int(fields_of(1)[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started_after_boot


def fields_of(process: int) -> list[str]:
    """Return the fields of /proc/PID/stat, beginning with the third one, `state`.

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def is_stuck(name: str) -> bool:
    """Tell whether `alive` is too old, and unchanged since a look at least SECOND_LOOK_AFTER seconds ago."""
    alive, looked = FOLDER / f"{name}.alive", FOLDER / f"{name}.looked"
    seconds = age(alive)
    if seconds is None or seconds <= ALIVE_LIMIT:
        looked.unlink(missing_ok=True)
        return False
    touched_at, now = str(alive.stat().st_mtime_ns), time.time()
    touched_then, _, first_look = looked.read_text().partition(" ") if looked.exists() else ("", "", "")
    if touched_then == touched_at:
        return abs(now - float(first_look)) >= SECOND_LOOK_AFTER
    looked.write_text(f"{touched_at} {now}")
    return False


def main_processes() -> list[int]:
    """Return the children of process 1, which is tini (`init: true` in compose.yaml)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # the process has just ended
            if fields_of(int(folder.name))[1] == "1":
                found.append(int(folder.name))
    return found


def end(name: str) -> None:
    """Kill the main process of the container. Tini then ends too, and Docker starts the container again.

    A stuck process may not react to SIGTERM. Its unfinished work runs again, as after every crash.
    """
    import json  # here, because the health check runs often and this rarely
    from datetime import UTC, datetime

    message = f"watchdog: the {name} is stuck and is killed, so that Docker starts it again"
    line = {"time": datetime.now(UTC).isoformat(), "level": "ERROR", "logger": "ops.watchdog", "message": message}
    with suppress(OSError):
        LOG.write_text(f"{json.dumps(line)}\n")
    for process in main_processes():
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    sys.exit(message)


def main(name: str) -> None:
    """Exit with a message if the process called `name` is not ready, after ending it if it is stuck."""
    if is_stuck(name):
        end(name)
    seconds = age(FOLDER / f"{name}.ready")
    if seconds is None:
        sys.exit(f"{name}: not ready yet")
    if seconds > READY_LIMIT:
        sys.exit(f"{name}: not ready for {seconds:.0f} seconds")


if __name__ == "__main__":
    main(sys.argv[1])
