"""What the tests of dead letters share."""

from io import StringIO

import pytest
from django.core.management import call_command

from tests.support.waiting import wait_for


@pytest.fixture
def command():
    """Return a function that runs `manage.py dead_letters` and returns its output."""

    def run(*arguments: str) -> str:
        out = StringIO()
        call_command("dead_letters", *arguments, stdout=out)
        return out.getvalue()

    return run


@pytest.fixture
def dead_letter(command):
    """Return a function that waits for the dead letter with this ID and returns its line."""

    def wait(task_id: str) -> str:
        def line():
            return "".join(line for line in command().splitlines() if line.startswith(task_id))

        return wait_for(line, f"the dead letter {task_id}", seconds=20)

    return wait
