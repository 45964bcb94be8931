"""No container becomes unhealthy under full load. People would switch off a health check that raises false alarms."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.fault_run import send
from tests.running.waiting import wait_for

pytestmark = pytest.mark.usefixtures("long_form")

MINUTES = 10
EACH = 5  # seconds that a task computes
PROCESSES = 8  # prepare() in conftest.py

COUNT = "SELECT count(*) FROM load_run WHERE batch = 'full load'"
TURNS = "{{.Actor.Attributes.name}}: {{.Action}}"


@contextmanager
def turns(stack) -> Iterator[Path]:
    """Write each change of a container's health to the file that this yields."""
    # As they come: the engine remembers its last 256 events only.
    file = stack.folder / "turns"
    project = f"label=com.docker.compose.project={stack.environment['COMPOSE_PROJECT_NAME']}"
    command = ["docker", "events", "--filter", project, "--filter", "event=health_status", "--format", TURNS]
    with file.open("w") as written, subprocess.Popen(command, stdout=written) as process:
        try:
            yield file
        finally:
            process.terminate()


def test_nothing_turns_unhealthy_in_ten_minutes_of_full_load(stack):
    """Eight processes compute on however few cores there are, and somebody visits the page."""
    count = MINUTES * 60 // EACH * PROCESSES
    began = time.monotonic()

    def done():
        stack.visitor.page()
        return int(stack.sql(COUNT)[0][0]) == count

    with turns(stack) as written:
        send(stack, "full load", tasks=count, seconds=EACH, function="compute")
        wait_for(done, f"the end of {count} tasks", seconds=MINUTES * 60 * 2)

    assert time.monotonic() > began + MINUTES * 60
    assert "unhealthy" not in written.read_text()
