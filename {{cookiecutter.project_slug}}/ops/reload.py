"""Runs a command and restarts it when Python code changes: `python -m ops.reload celery -A config worker`.

For development. A restart or a stop is gentle: the command gets one SIGTERM and all the time that it needs, so a worker
ends its running tasks first. (The commands that come with watchfiles and watchdog kill it after some seconds, or signal
its pool's processes as well.)
"""

import signal
import subprocess
import sys
import threading

from watchfiles import PythonFilter, watch


def main(command: list[str]) -> int:
    """Return the exit code that `command` ends with after a SIGTERM or Ctrl-C. If it ends by itself, say after a
    syntax error, the next change starts it again.
    """
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda signum, frame: stop.set())
    signal.signal(signal.SIGINT, lambda signum, frame: stop.set())

    def start() -> subprocess.Popen:
        # In a session of its own: Ctrl-C in a terminal reaches this process only, which passes on one SIGTERM.
        return subprocess.Popen(command, start_new_session=True)  # noqa: S603  the command is ours

    process = start()
    for changes in watch(".", watch_filter=PythonFilter(), stop_event=stop):
        print(f"reload: {', '.join(sorted(path for _, path in changes))}", file=sys.stderr)
        process.terminate()
        process.wait()
        if not stop.is_set():
            process = start()
    process.terminate()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
