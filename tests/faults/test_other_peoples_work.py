"""Work that cannot be done, and a large amount of work, do not delay the work of others. The long form: make faults."""

import pytest

from tests.faults.conftest import COMES_BACK
from tests.faults.fault_run import Sent, send, wait_until_idle
from tests.running.stack import Stack
from tests.running.waiting import wait_for

pytestmark = pytest.mark.usefixtures("long_form")

WITH_A_QUEUE_THAT_IS_NOT_THERE = """
from django.db import transaction
from jobs import submit
from jobs.models import Job
with transaction.atomic():
    job = submit("load", batch="unsendable", number=0, seconds=0)
    Job.objects.filter(pk=job.pk).update(queue="gone")
print(job.pk)
"""
A_BACKLOG = """
from accounts.models import User
from jobs.models import Job
owner = User.objects.create_user("{batch}")
arguments = [dict(batch="{batch}", number=number, seconds=0) for number in range({count})]
Job.objects.bulk_create(Job(kind="load", owner=owner, max_attempts=5, arguments=it) for it in arguments)
"""
ANOTHER_OWNERS_JOB = """
from accounts.models import User
from jobs import submit
owner = User.objects.create_user("{batch}")
print(submit("load", owner=owner, batch="{batch}", number=0, seconds=0).pk)
"""
DELETE_THE_REST = """
WITH rest AS (
    DELETE FROM jobs_job WHERE arguments->>'batch' = '{batch}' AND status = 'waiting'
    AND published_at IS NULL RETURNING id
) SELECT count(*) FROM rest
"""
# How many jobs of the backlog were started after the other owner's job was submitted and before it was started.
OVERTOOK = """
SELECT count(*) FROM jobs_job AS one, jobs_job AS other
WHERE one.id = '{job}' AND other.arguments->>'batch' = '{batch}'
AND other.started_at > one.created_at AND other.started_at < one.started_at
"""
# Not with `celery control`, because the command line has not loaded load/tasks.py and so refuses the command.
STOP_CONSUMING = """
from config.celery import app
print(app.control.broadcast("stop_consuming", reply=True, timeout=5))
"""
BACKLOG = 20_000
# The other owner's job must start within about two seconds. No machine starts more jobs of the backlog than this in
# that time.
FEW = 1000


def started_at(stack: Stack, service: str) -> str:
    """Return since when the service's container has been running."""
    container = stack.compose("ps", "--quiet", service).stdout.strip()
    return stack.run("docker", "inspect", "--format", "{{.State.StartedAt}}", container, check=True).stdout


def test_a_task_that_raises_a_memory_error_fails_and_harms_no_other(stack, fault_run):
    before = started_at(stack, "worker")
    with fault_run("q: a task raises MemoryError") as case:
        send(stack, case.batch, tasks=1, function="without_memory")
        case.submit(tasks=300, jobs=300, seconds=0.2)

    assert case.runs()["without"][0][0] == 1
    assert started_at(stack, "worker") == before


def test_a_job_that_cannot_be_sent_delays_none_of_a_thousand_and_says_why(stack, fault_run):
    with fault_run("r: a job cannot be sent, a thousand others can", ways=["jobs"]) as case:
        job = stack.shell(WITH_A_QUEUE_THAT_IS_NOT_THERE)
        case.submit(tasks=0, jobs=1000)

    query = f"SELECT status, publish_error LIKE '%gone%' FROM jobs_job WHERE id = '{job}'"
    assert stack.sql(query) == [["waiting", "t"]]
    stack.sql(f"DELETE FROM jobs_job WHERE id = '{job}'")


def test_a_single_job_overtakes_the_backlog_of_another_owner(stack, fault_run):
    with fault_run("s: one owner has a backlog, another a single job", ways=["jobs"]) as case:
        backlog = f"{case.batch}-backlog"
        stack.shell(A_BACKLOG.format(batch=backlog, count=BACKLOG))
        worked_on = f"SELECT count(*) > 100 FROM load_run WHERE batch = '{backlog}'"
        wait_for(lambda: stack.sql(worked_on) == [["t"]], "the work on the backlog", seconds=60)
        job = stack.shell(ANOTHER_OWNERS_JOB.format(batch=case.batch))
        case.sent["jobs"] = Sent(1, [], [], 0)
        wait_for(lambda: case.finished(["jobs"]), "the end of the other owner's job", seconds=60)
        [[deleted]] = stack.sql(DELETE_THE_REST.format(batch=backlog))
    [[overtook]] = stack.sql(OVERTOOK.format(job=job, batch=backlog))

    assert int(deleted) > 0, "the backlog was too short for this test"
    assert int(overtook) <= FEW


def test_a_long_job_survives_six_deploys(stack, fault_run, monkeypatch):
    monkeypatch.setitem(stack.environment, "STOP_GRACE_SECONDS", "25")  # what runs is given back after five seconds
    deploy = ["up", "--detach", "--no-deps", "--force-recreate", "worker"]
    stack.compose(*deploy)
    with fault_run("p: a long job is interrupted by six deploys", ways=["jobs"]) as case:
        case.submit(tasks=0, jobs=1, seconds=45)
        for _ in range(6):
            case.wait_until_started()
            stack.compose(*deploy)

    query = f"SELECT status, attempts, interruptions FROM jobs_job WHERE arguments->>'batch' = '{case.batch}'"
    assert stack.sql(query) == [["succeeded", "7", "6"]]


def test_a_worker_that_stops_consuming_is_replaced_and_loses_nothing(stack, fault_run):
    before = started_at(stack, "worker")
    with fault_run("v: the worker stops consuming") as case:
        assert "celery@" in stack.shell(STOP_CONSUMING)
        case.submit(tasks=300, jobs=300, seconds=0.2)
        # It must have taken nothing for two minutes, then its file `alive` grows too old in three more.
        wait_for(lambda: started_at(stack, "worker") != before, "a new worker", seconds=420)


def test_in_the_end_nothing_is_lost_and_no_job_was_worked_twice(fault_runs):
    wait_until_idle(fault_runs, seconds=COMES_BACK + 60)
