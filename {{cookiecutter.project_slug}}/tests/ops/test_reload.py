"""ops.reload: what restarts a process in development."""

import os
import signal
import subprocess
import sys

import pytest
from django.conf import settings

from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

# Writes a line when it starts, and another one half a second after a SIGTERM, like a worker that finishes its task
# first.
COMMAND = """
import signal, sys, time
from pathlib import Path

def note(word):
    with Path("notes").open("a") as notes:
        notes.write(word + "\\n")

def end(signum, frame):
    time.sleep(0.5)
    note("ended")
    sys.exit(7)

signal.signal(signal.SIGTERM, end)
note("started")
while True:
    signal.pause()
"""


@pytest.fixture
def reload(tmp_path):
    (tmp_path / "command.py").write_text(COMMAND)
    process = subprocess.Popen(
        [sys.executable, "-m", "ops.reload", sys.executable, "command.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(settings.BASE_DIR)},
    )
    notes = tmp_path / "notes"
    process.notes = lambda: notes.read_text().split() if notes.exists() else []
    wait_for(lambda: process.notes() == ["started"], "the start of the command")
    yield process
    process.terminate()
    process.wait(timeout=10)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_waits_for_the_command_and_returns_its_exit_code(reload, how):
    reload.send_signal(how)

    assert reload.wait(timeout=10) == 7
    assert reload.notes() == ["started", "ended"]


def test_a_change_of_code_restarts_the_command_after_it_has_ended(reload, tmp_path):
    def changed():  # again and again: the first change may come before the watch has begun
        (tmp_path / "code.py").write_text(f"x = {os.urandom(4)!r}")
        return len(reload.notes()) > 1

    wait_for(changed, "the restart")
    wait_for(lambda: reload.notes()[:3] == ["started", "ended", "started"], "the second start")


def test_a_change_of_another_file_does_not_restart_the_command(reload, tmp_path):
    (tmp_path / "page.html").write_text("changed")
    reload.terminate()

    assert reload.wait(timeout=10) == 7
    assert reload.notes() == ["started", "ended"]


def test_a_command_that_ends_by_itself_says_how_it_comes_back(tmp_path):
    command = [sys.executable, "-m", "ops.reload", sys.executable, "-c", "raise SystemExit(7)"]
    environment = {**os.environ, "PYTHONPATH": str(settings.BASE_DIR)}
    with subprocess.Popen(  # noqa: S603  the test wrote the command
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert "it ended with exit code 7, and starts again when code changes" in process.stderr.readline()
        process.terminate()

    assert process.returncode == 7
