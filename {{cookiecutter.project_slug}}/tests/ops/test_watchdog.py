"""When the health check calls a process ready, and when it kills it: ops/watchdog.py."""

import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from django.conf import settings

from ops import watchdog


class Container:
    """What the watchdog sees: files in a folder of the test, the clock, and the age of the container in seconds."""

    def __init__(self, folder):
        self.folder = folder
        self.now = 1_800_000_000.0
        self.started = self.now - 3600
        self.killed = []

    def touch(self, name: str, seconds_ago: float = 0):
        file = self.folder / name
        file.touch()
        os.utime(file, (self.now - seconds_ago,) * 2)

    def look(self, seconds_later: float = 0) -> str | None:
        """Run the health check after this time. Return what is wrong, or None if the worker is ready."""
        self.now += seconds_later
        try:
            watchdog.main("worker")
        except SystemExit as error:
            return str(error)
        return None


@pytest.fixture
def container(tmp_path, monkeypatch):
    container = Container(tmp_path)
    monkeypatch.setattr(watchdog, "FOLDER", tmp_path)
    monkeypatch.setattr(watchdog, "LOG", tmp_path / "log")
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(time=lambda: container.now))
    monkeypatch.setattr(watchdog, "container_age", lambda: container.now - container.started)
    monkeypatch.setattr(watchdog, "main_processes", lambda: [4711])
    monkeypatch.setattr(watchdog.os, "kill", lambda *arguments: container.killed.append(arguments))
    return container


def test_a_process_that_touches_its_files_is_ready(container):
    container.touch("worker.alive")
    container.touch("worker.ready")

    assert container.look(10) is None
    assert container.killed == []


def test_a_process_that_starts_is_not_ready_yet_and_is_given_time(container):
    assert container.look() == "worker: not ready yet"
    assert container.look(1000) == "worker: not ready yet"
    assert container.killed == []


def test_a_process_that_drains_and_so_has_deleted_its_files_is_left_alone(container):
    container.touch("worker.alive", seconds_ago=185)
    container.look()
    (container.folder / "worker.alive").unlink()

    container.look(20)
    container.look(20)

    assert container.killed == []


def test_a_process_whose_broker_is_down_for_hours_is_not_ready_and_is_left_alone(container):
    container.touch("worker.ready")

    for minutes in range(1, 100):
        container.now += 60
        container.touch("worker.alive", seconds_ago=2)
        container.look()
        assert minutes == 1 or container.look() == f"worker: not ready for {minutes * 60} seconds"

    assert container.killed == []


def test_a_process_that_is_still_stuck_ten_seconds_after_the_first_look_is_killed_with_a_line_in_the_log(container):
    container.touch("worker.alive")
    container.touch("worker.ready")

    assert container.look(185) == "worker: not ready for 185 seconds"
    assert container.look(1) == "worker: not ready for 186 seconds"
    assert container.killed == []

    assert "the worker is stuck and is killed" in container.look(20)
    assert container.killed == [(4711, signal.SIGKILL)]
    line = json.loads((container.folder / "log").read_text())
    assert (line["level"], line["logger"]) == ("ERROR", "ops.watchdog")
    assert "the worker is stuck and is killed" in line["message"]


@pytest.mark.parametrize("jump", [3600, -3600], ids=["forward", "back"])
def test_a_machine_that_was_suspended_or_a_clock_that_was_set_ends_no_process(container, jump):
    container.started -= 7200
    container.touch("worker.alive")
    container.look(1)

    container.look(jump)  # before the process had the time to touch its file
    container.touch("worker.alive")
    container.look(20)
    container.look(jump)
    container.touch("worker.alive", seconds_ago=-1)
    container.look(20)

    assert container.killed == []


def test_files_of_an_earlier_process_of_the_same_container_are_not_looked_at(container):
    container.touch("worker.alive", seconds_ago=200)
    container.touch("worker.ready", seconds_ago=10)
    container.started = container.now - 1

    assert container.look() == "worker: not ready yet"
    assert container.look(20) == "worker: not ready yet"
    assert container.look(3600) == "worker: not ready yet"
    assert container.killed == []


def test_a_look_that_finds_the_process_alive_cancels_an_earlier_look_that_found_it_stuck(container):
    container.touch("worker.alive")
    container.look(185)
    container.touch("worker.alive")
    container.look(1)

    container.look(185)

    assert container.killed == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_command_of_compose_needs_no_package_and_finds_the_age_of_process_1(tmp_path):
    def look() -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-IS", "ops/watchdog.py", "worker"],
            cwd=settings.BASE_DIR,
            env={"TMPDIR": str(tmp_path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        return done.returncode, done.stderr

    assert look() == (1, "worker: not ready yet\n")
    (tmp_path / "worker.ready").touch()
    assert look() == (0, "")
