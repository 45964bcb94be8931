"""A generated project, running as processes on this machine: `make local`."""

import os
import re
import signal
import subprocess
from pathlib import Path

import requests

from tests.running.ports import free_port
from tests.running.visitor import Visitor
from tests.running.waiting import wait_for


class LocalSite:
    """The project in `folder`, started with `make local` on a port of its own; its output goes to local.log there.

    `bin` is the `bin` of an environment that has its packages. Without it, `make local` makes one.
    """

    def __init__(self, folder: Path, bin: Path | None = None):
        self.folder = folder
        self.bin = bin or folder / ".venv/bin"
        self.make = ["make", *(["--old-file", ".venv/installed", f"BIN={os.path.relpath(bin, folder)}"] if bin else [])]
        self.log = folder / "local.log"
        port = free_port()
        dotenv = folder / ".env"
        dotenv.write_text(re.sub(r"(?m)^WEB_PORT=.*$", f"WEB_PORT={port}", dotenv.read_text()))
        self.visitor = Visitor(f"http://127.0.0.1:{port}")
        self.process: subprocess.Popen | None = None

    def up(self) -> None:
        """Start the processes of the Procfile and wait until web answers. Raises AssertionError with the log if it does
        not.
        """
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*self.make, "local"], cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )

        def answers() -> bool:
            assert self.process.poll() is None, f"make local ended:\n{self.log.read_text()}"
            try:
                return requests.get(f"{self.visitor.url}/readyz", timeout=5).ok
            except requests.ConnectionError:
                return False

        wait_for(answers, f"an answer of {self.visitor.url}/readyz", seconds=120)

    def shell(self, code: str) -> str:
        """Run `code` in Django's shell and return what it prints."""
        command = [f"{self.bin}/python", "manage.py", "shell", "--verbosity", "0", "--command", code]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True).stdout.strip()

    def down(self) -> None:
        """Stop it as Ctrl-C does, and wait until no process is left."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(timeout=60)
            wait_for(self.gone, "the end of all processes of make local", seconds=60)

    def gone(self) -> bool:
        """Does no process work in the folder any more?"""
        return not any(_working_directory(process) == self.folder for process in Path("/proc").glob("[0-9]*"))


def _working_directory(process: Path) -> Path | None:
    try:
        return (process / "cwd").readlink()
    except OSError:  # it has ended meanwhile
        return None
