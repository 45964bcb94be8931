"""Without Docker: `make local` needs only Python, and real processes work on a task and a job."""

import pytest

from tests.answers import every, named
from tests.running.local import LocalSite
from tests.running.program import Program
from tests.running.waiting import wait_for


@pytest.mark.parametrize("answers", every("result_backend"), ids=named)
def test_a_task_and_a_job_sent_from_web_are_executed_by_a_worker_process(bake_fresh, answers):
    site = LocalSite(bake_fresh(broker="rabbitmq", **answers))
    try:
        site.up()
        task_id = site.visitor.send_add(4, 5)
        assert site.visitor.result(task_id) == "9"
        program = Program.with_new_user(site)
        job = program.submit("build_report", rows=5000)
        wait_for(lambda: program.job(job["url"])["status"] == "succeeded", "the end of the report", seconds=30)
        if answers["result_backend"] == "redis":  # the tick takes half a minute, and no result backend
            site.visitor.tick()
    finally:
        site.down()
    log = site.log.read_text()
    assert f"example.tasks.add[{task_id}] succeeded" in log
    assert "Traceback" not in log


def test_without_jobs_a_task_sent_from_web_is_executed_by_a_worker_process(bake_fresh):
    site = LocalSite(bake_fresh(jobs="none"))
    try:
        site.up()
        assert site.visitor.result(site.visitor.send_add(4, 5)) == "9"
    finally:
        site.down()
    assert "Traceback" not in site.log.read_text()
