"""No job is lost, on either broker: while the broker is away, when it loses everything, when a worker dies."""

import pytest
import requests

from tests.running.editing import replace
from tests.running.program import Program
from tests.running.waiting import wait_for

# Rows of a report that takes longer than it takes to kill its worker. It is killed when the first rows are there.
LONG = 4_000_000
COUNT = """
SELECT count(*) FROM jobs_job JOIN accounts_user ON accounts_user.id = owner_id
WHERE username = '{name}' AND {condition}
"""
SUBMIT_200 = """
from accounts.models import User
from jobs import submit
owner = User.objects.get(username={name!r})
for number in range(200):
    submit("add", x=number, y=1, owner=owner)
"""


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def broker(request):
    return request.param


@pytest.fixture(scope="module")
def stack(running, broker):
    def allow_long_reports(folder):
        replace(folder / "example/jobs.py", "max_value=1_000_000)", f"max_value={LONG})")

    with running(allow_long_reports, broker=broker) as stack:
        yield stack


@pytest.fixture
def program(stack):
    """A program with a user of its own, who has no jobs yet."""
    return Program.with_new_user(stack)


def count(stack, program, condition: str) -> int:
    """Return how many of the program's jobs there are for which this SQL holds."""
    [[number]] = stack.sql(COUNT.format(name=program.name, condition=condition))
    return int(number)


def finished(program) -> list[dict] | None:
    """Return the program's jobs if all have succeeded."""
    jobs = program.jobs()
    return jobs if all(job["status"] == "succeeded" for job in jobs) else None


def test_a_job_is_submitted_by_the_api_and_its_result_read_back(program):
    job = program.submit("add", x=4, y=5)

    assert wait_for(lambda: program.job(job["url"])["status"] == "succeeded", "the end of add(4, 5)", seconds=20)
    assert program.job(job["url"])["result"] == 9


@pytest.mark.parametrize(("away", "back"), [("stop", "start"), ("pause", "unpause")])
def test_a_broker_that_is_away_delays_no_request_and_loses_no_job(stack, broker, program, away, back):
    stack.compose(away, broker)
    try:
        # A request that takes longer than 2 seconds raises requests.Timeout.
        jobs = [program.submit("add", x=number, y=1, seconds=2) for number in range(20)]
        assert {job["status"] for job in program.jobs()} == {"waiting"}
    finally:
        stack.compose(back, broker)

    results = wait_for(lambda: finished(program), "the end of 20 jobs", seconds=120)
    assert sorted(job["result"] for job in results) == [number + 1 for number in range(20)]
    assert [job["attempts"] for job in results] == [1] * len(jobs)


def test_two_hundred_waiting_jobs_outlive_a_broker_that_loses_everything(stack, broker, program):
    stack.compose("stop", "worker")
    stack.shell(SUBMIT_200.format(name=program.name))
    # No worker takes a message, so the broker keeps as many as it may have: four for each of the two processes.
    published = "published_at IS NOT NULL"
    wait_for(lambda: count(stack, program, published) == 8, "eight messages in the broker", seconds=60)

    empty(stack, broker)
    stack.compose("up", "--detach", "--no-deps", "worker")

    wait_for(lambda: count(stack, program, "status = 'succeeded'") == 200, "the end of 200 jobs", seconds=180)
    assert sorted(job["result"] for job in program.jobs()) == [number + 1 for number in range(200)]
    assert {job["attempts"] for job in program.jobs()} == {1}


def empty(stack, broker: str) -> None:
    """Take all messages from the broker."""
    if broker == "redis":
        stack.redis("redis", "FLUSHALL")
    else:
        vhost = stack.folder.name
        stack.compose("exec", "--no-TTY", "rabbitmq", "rabbitmqctl", "purge_queue", "default.jobs", "--vhost", vhost)


def test_the_job_of_a_killed_process_runs_again_at_once(stack, program):
    """Its lease, after which it would run again in any case, lasts a minute."""
    job = program.submit("build_report", rows=LONG)
    wait_for(lambda: program.job(job["url"])["done"] > 0, "the start of the report", seconds=20)

    stack.signal("worker", "SIGKILL", "pool")

    wait_for(lambda: program.job(job["url"])["attempts"] == 2, "the second attempt", seconds=25)
    wait_for(lambda: program.job(job["url"])["status"] == "succeeded", "the end of the report", seconds=120)


def test_the_job_of_a_killed_worker_runs_again_within_90_seconds(stack, program):
    job = program.submit("build_report", rows=LONG)
    wait_for(lambda: program.job(job["url"])["done"] > 0, "the start of the report", seconds=20)

    stack.compose("kill", "--signal", "KILL", "worker")
    stack.compose("up", "--detach", "--no-deps", "worker")

    wait_for(lambda: program.job(job["url"])["attempts"] == 2, "the second attempt", seconds=90)
    wait_for(lambda: program.job(job["url"])["status"] == "succeeded", "the end of the report", seconds=120)
    report = requests.get(program.job(job["url"])["download"], headers=program.session.headers, timeout=60)
    assert report.content.count(b"\n") == LONG + 1
