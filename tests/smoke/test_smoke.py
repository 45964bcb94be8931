"""Each combination of broker, result backend and beat is built and started once, and works on a task. The answers to
the other prompts differ from project to project, so that any two choices occur together in some project.
"""

from pathlib import Path

import pytest

from tests.answers import every_with_others, named
from tests.running.editing import replace

ROWS = every_with_others("broker", "result_backend", "beat")
# A project of each broker that has all tests, those of beat and of the API too.
COMPLETE = list({row["broker"]: row for row in ROWS if row["beat"] and row["jobs"] == "api"}.values())


def tick(folder: Path, before: int, after: int) -> None:
    """Change how often beat sends its tick (seconds)."""
    replace(folder / "config/settings/celery.py", f'"schedule": {before},', f'"schedule": {after},')


@pytest.mark.parametrize("answers", ROWS, ids=named)
def test_a_task_sent_from_web_is_executed_by_the_worker_and_its_result_read_back(running, answers):
    """In a complete project, the generated tests then pass inside the stack."""

    def tick_often(folder: Path) -> None:  # half a minute less to wait for it
        if answers["beat"]:
            tick(folder, 30, 2)

    with running(tick_often, **answers) as stack:
        assert ("dispatcher" in stack.services()) == (answers["jobs"] != "none")
        stack.check_add()
        if answers["beat"]:
            stack.check_tick()
        stack.check_logs()

        if answers in COMPLETE:
            tick(stack.folder, 2, 30)
            done = stack.run("make", "test-docker")
            assert done.returncode == 0, done.stdout + done.stderr
