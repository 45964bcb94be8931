"""What a developer does with a running stack."""

import os

import pytest
import requests

from tests.running.editing import replace
from tests.running.waiting import wait_for


@pytest.fixture(scope="module")
def stack(running):
    with running() as stack:
        yield stack


def test_a_change_of_code_reaches_the_worker_and_web(stack):
    replace(stack.folder / "example/tasks.py", "return x + y", "return x + y + 1")
    replace(stack.folder / "example/forms.py", "initial=4", "initial=6")

    def sum_on_a_page_of_the_new_code():
        try:
            page = stack.visitor.page()
            return 'value="6"' in page and stack.visitor.result(stack.visitor.send_add(4, 5))
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):  # web restarts
            return None

    wait_for(lambda: sum_on_a_page_of_the_new_code() == "10", "the new code of worker and web", seconds=60)

    replace(stack.folder / "example/tasks.py", "return x + y + 1", "return x + y")
    wait_for(lambda: sum_on_a_page_of_the_new_code() == "9", "the worker's old code", seconds=60)


def test_a_file_made_in_a_container_belongs_to_the_user_on_the_host(stack):
    command = ["python", "manage.py", "makemigrations", "example", "--empty", "--name", "made"]
    stack.compose("exec", "--no-TTY", "web", *command)

    made = stack.folder / "example/migrations/0002_made.py"
    assert made.stat().st_uid == stack.folder.stat().st_uid
    made.unlink()


@pytest.mark.parametrize("service", ["web", "worker", "dispatcher", "beat"])
def test_no_process_of_ours_runs_as_root(stack, service):
    script = "for process in /proc/[0-9]*; do stat -c %u $process; done"
    owners = set(stack.compose("exec", "--no-TTY", service, "sh", "-c", script).stdout.split())

    assert owners == {str(os.getuid() or 1000)}


def test_a_running_task_ends_before_its_worker_is_restarted(stack):
    task_id = stack.shell("from example.tasks import slow; print(slow.delay(8).id)")
    wait_for(lambda: f"slow[{task_id}] received" in stack.logs("worker"), "the start of the slow task", seconds=20)

    stack.compose("restart", "worker")

    assert f"slow[{task_id}] succeeded" in stack.logs("worker")


def test_starting_it_again_changes_nothing(stack):
    services = ["web", "worker", "dispatcher", "beat", "db", "redis", "cache"]
    before = stack.compose("ps", "--quiet", *services).stdout.split()

    stack.up()

    assert stack.compose("ps", "--quiet", *services).stdout.split() == before


def test_workers_can_be_scaled(stack):
    stack.compose("up", "--detach", "--wait", "--scale", "worker=2")

    answering = stack.shell("from config.celery import app; print(len(app.control.inspect(timeout=5).ping()))")
    assert answering == "2"
    stack.check_add()


def test_nothing_of_all_this_logged_an_error(stack):
    stack.check_logs()
