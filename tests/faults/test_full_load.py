"""No health check turns under full load: a check that does is one that people switch off."""

import time

import pytest

from tests.faults.trial import send
from tests.running.waiting import wait_for

pytestmark = pytest.mark.usefixtures("long_form")

MINUTES = 10
EACH = 5  # seconds that a task computes
PROCESSES = 8  # prepare() in conftest.py

COUNT = "SELECT count(*) FROM load_run WHERE batch = 'full load'"
TURNS = "{{.Actor.Attributes.name}}: {{.Action}}"


def test_nothing_turns_unhealthy_in_ten_minutes_of_full_load(stack):
    """Eight processes compute on however few cores there are, and somebody visits the page."""
    name = stack.folder.name
    psql = ["exec", "--no-TTY", "db", "psql", "--username", name, "--dbname", name, "--tuples-only", "--command", COUNT]
    count = MINUTES * 60 // EACH * PROCESSES
    began = time.time()

    send(stack, "full load", plain=count, seconds=EACH, task="compute")

    def done():
        stack.visitor.page()
        return int(stack.compose(*psql).stdout) == count

    wait_for(done, f"the end of {count} tasks", seconds=MINUTES * 60 * 2)
    assert time.time() > began + MINUTES * 60
    turns = ["docker", "events", "--since", str(int(began)), "--until", str(int(time.time())), "--format", TURNS]
    project = f"label=com.docker.compose.project={stack.environment['COMPOSE_PROJECT_NAME']}"
    events = stack.run(*turns, "--filter", project, "--filter", "event=health_status", check=True).stdout
    assert "unhealthy" not in events
