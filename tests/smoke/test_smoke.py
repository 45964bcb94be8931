"""Each combination of broker, result backend and beat is built, started, and works on a task. The other prompts are
answered in turn, so that any two choices meet: with jobs, with their pages only, and without them.
"""

from pathlib import Path

import pytest

from tests.answers import every_with_others, named
from tests.running.editing import replace


def tick_often(folder: Path) -> None:
    """Have beat send its tick every 2 seconds: the same tick, and half a minute less to wait for it."""
    replace(folder / "config/settings/celery.py", '"schedule": 30,', '"schedule": 2,')


@pytest.mark.parametrize("answers", every_with_others("broker", "result_backend", "beat"), ids=named)
def test_a_task_sent_from_web_is_executed_by_the_worker_and_its_result_read_back(running, answers):
    with running(change=tick_often if answers["beat"] else lambda folder: None, **answers) as stack:
        assert ("dispatcher" in stack.services()) == (answers["jobs"] != "none")
        stack.check_add()
        if answers["beat"]:
            stack.check_tick()
        stack.check_logs()


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_the_generated_tests_pass_inside_the_stack(running, broker):
    with running(broker=broker) as stack:
        done = stack.run("make", "test-docker")

        assert done.returncode == 0, done.stdout + done.stderr
