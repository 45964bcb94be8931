"""A worker in production keeps its database connection from task to task, and closes one that may be unusable."""

import pytest

from tests.running.editing import replace

TASKS = '''

from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection

@shared_task
def server_process() -> int:
    """Return which process of PostgreSQL serves this worker's connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


@shared_task
def too_slow() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 100")
        cursor.execute("SELECT pg_sleep(10)")


@shared_task(soft_time_limit=1)
def interrupted(fail: bool) -> None:
    """Meet the soft time limit inside a query."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(10)")
    except SoftTimeLimitExceeded:
        if fail:
            raise
'''
SEND = "from example import tasks; print(tasks.{call}.get(timeout=60, propagate=False))"


@pytest.fixture(scope="module")
def stack(running):
    def change(folder):
        # One process, so that the next task runs in the same one.
        replace(folder / ".env", "WORKER_CONCURRENCY=2", "WORKER_CONCURRENCY=1")
        tasks = folder / "example/tasks.py"
        tasks.write_text(tasks.read_text() + TASKS)

    with running(change, production=True) as stack:
        yield stack


def send(stack, call: str) -> str:
    """Send a task, and return what it returned or raised."""
    return stack.shell(SEND.format(call=call))


def server_process(stack) -> int:
    return int(send(stack, "server_process.delay()"))


def test_the_next_task_has_the_same_connection(stack):
    assert server_process(stack) == server_process(stack)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("too_slow.delay()", "canceling statement due to statement timeout"),
        ("interrupted.delay(fail=True)", "SoftTimeLimitExceeded"),
        ("interrupted.delay(fail=False)", "None"),
    ],
    ids=["a failed query", "a soft time limit inside a query", "a soft time limit that the task caught"],
)
def test_the_task_after_an_interrupted_query_has_a_new_connection(stack, call, error):
    before = server_process(stack)

    assert error in send(stack, call)

    assert server_process(stack) != before


def test_a_connection_that_the_server_closed_is_replaced(stack):
    before = server_process(stack)

    stack.sql(f"SELECT pg_terminate_backend({before}, 5000)")

    assert server_process(stack) != before


def test_after_a_restart_of_the_database_the_next_task_works(stack):
    server_process(stack)

    stack.compose("kill", "--signal", "KILL", "db")
    stack.compose("up", "--detach", "--no-deps", "--wait", "db")

    assert server_process(stack)
    assert "retry:" not in stack.logs("worker"), "it found the connection closed and was sent again"
