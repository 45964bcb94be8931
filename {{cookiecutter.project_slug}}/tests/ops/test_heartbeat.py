"""Files whose age tells whether a process still works: ops/heartbeat.py."""

import tempfile
from pathlib import Path

from ops import heartbeat


def test_each_process_has_a_file_of_its_own_where_the_health_checks_of_the_containers_look():
    assert heartbeat.file("worker") == Path(tempfile.gettempdir(), "worker.alive")
    assert heartbeat.file("worker") != heartbeat.file("another")
