"""A generated project, running as processes on this machine: `make local`."""

import os
import signal
import subprocess
from pathlib import Path

import requests

from tests.ports import free_port
from tests.visitor import Visitor
from tests.waiting import wait_for


class LocalSite:
    """The project in `folder`, started with `make local` on a port of its own; its output goes to local.log there."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.log = folder / "local.log"
        port = free_port()
        self.environment = os.environ | {"WEB_PORT": str(port)}
        self.visitor = Visitor(f"http://127.0.0.1:{port}")
        self.process: subprocess.Popen | None = None

    def up(self) -> None:
        """Start web, worker and beat and wait until web answers. Raises AssertionError with the log if it does not."""
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["make", "local"], cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

        def answers():
            assert self.process.poll() is None, f"make local ended:\n{self.log.read_text()}"
            try:
                return requests.get(f"{self.visitor.url}/readyz", timeout=5).ok
            except requests.ConnectionError:
                return False

        wait_for(answers, f"an answer of {self.visitor.url}/readyz", seconds=120)

    def down(self) -> None:
        """Stop it as Ctrl-C does, and wait until no process is left."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(timeout=60)
            wait_for(self.gone, "the end of all processes of make local", seconds=60)

    def gone(self) -> bool:
        """Is no process of the group left?"""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False
