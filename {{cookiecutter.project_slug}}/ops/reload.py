"""Run a command and restart it when Python code changes: `python -m ops.reload celery -A config worker`.

This is for development. A restart or a stop is gentle: the command gets one SIGTERM and as much time as it needs, so a
worker finishes its running tasks first. The reload commands of the packages watchfiles and watchdog kill it after some
seconds, or send the signal to its pool processes as well.
"""

import signal
import subprocess
import sys
import threading

from watchfiles import PythonFilter, watch


def main(command: list[str]) -> int:
    """Run `command` until SIGTERM or Ctrl-C, and return its exit code.

    A command that ends by itself, for example after a syntax error, is started again by the next change, and a line
    says so.
    """
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda signum, frame: stop.set())
    signal.signal(signal.SIGINT, lambda signum, frame: stop.set())

    def start() -> subprocess.Popen[bytes]:
        # In a session of its own, because Ctrl-C in a terminal must reach only this process, which sends one SIGTERM.
        return subprocess.Popen(command, start_new_session=True)  # noqa: S603  the developer wrote the command

    process, told = start(), False
    # Without a change, the loop runs once a second with empty `changes`, and checks whether the process has ended.
    for changes in watch(".", watch_filter=PythonFilter(), stop_event=stop, rust_timeout=1000, yield_on_timeout=True):
        if not changes:
            if not told and (status := process.poll()) is not None:
                print(f"reload: it ended with exit code {status}, and starts again when code changes", file=sys.stderr)
                told = True
            continue
        print(f"reload: {', '.join(sorted(path for _, path in changes))}", file=sys.stderr)
        process.terminate()
        process.wait()
        if not stop.is_set():
            process, told = start(), False
    process.terminate()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
