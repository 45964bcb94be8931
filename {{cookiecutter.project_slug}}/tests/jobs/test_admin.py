"""What staff do with jobs in the admin: jobs/admin.py."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse, reverse_lazy

from jobs import lifecycle
from jobs.attempt import Progress
from jobs.exceptions import LeaseLost
from jobs.models import Job
from tests.jobs.helpers import page_of, text_of, write_job

ADMIN_LIST = reverse_lazy("admin:jobs_job_changelist")


@pytest.fixture
def admin(client, staff):
    """The browser of a superuser."""
    client.force_login(staff)
    return client


def act(admin, action: str, jobs: list[Job]) -> str:
    """Run the action on the selected jobs, and return the page that follows."""
    selection = {"action": action, "_selected_action": [job.pk for job in jobs]}
    return text_of(admin.post(ADMIN_LIST, selection, follow=True))


def test_the_admin_finds_jobs(admin, ada, grace):
    failed = write_job(ada, status="failed", error="ValueError: no such customer")
    other = write_job(grace, done=1, total=4, status="running")

    def found(query):
        return re.findall(rf"{ADMIN_LIST}([0-9a-f-]+)/change/", page_of(admin, f"{ADMIN_LIST}?{query}"))

    assert found("status__exact=failed") == [str(failed.pk)]
    assert found("q=customer") == [str(failed.pk)]
    assert found("q=grace") == [str(other.pk)]
    assert found(f"q={failed.pk}") == [str(failed.pk)]
    page = page_of(admin, ADMIN_LIST)
    assert "25 %" in page
    assert all(f"By {name}" in page for name in ("status", "kind", "created at"))


def test_the_admin_shows_why_a_job_was_not_published(admin, ada):
    job = write_job(ada, publish_error="QueueNotFound: no queue is called 'gone'")

    assert "no queue is called 'gone'" in page_of(admin, f"{ADMIN_LIST}{job.pk}/change/")
    assert str(job.pk) in page_of(admin, f"{ADMIN_LIST}?q=QueueNotFound")


def test_the_admins_list_takes_no_query_for_each_job(admin, ada, grace):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            page_of(admin, ADMIN_LIST)
        return len(captured)

    write_job(ada)
    single = queries()
    for minutes in range(10):
        write_job([ada, grace][minutes % 2], minutes=minutes)

    assert queries() == single


def test_nobody_adds_or_edits_a_job_in_the_admin(admin, ada):
    job = write_job(ada)
    path = reverse("admin:jobs_job_change", args=[job.pk])

    assert admin.get(reverse("admin:jobs_job_add")).status_code == 403
    assert 'name="status"' not in page_of(admin, path)
    assert admin.post(path, {"status": "succeeded"}).status_code == 403
    assert Job.objects.get().status == "waiting"


def test_staff_retry_what_has_failed_or_was_cancelled(admin, ada):
    jobs = [write_job(ada, status=status) for status in ("failed", "cancelled", "succeeded", "running")]

    assert "2 of 4 are waiting for a worker again." in act(admin, "retry", jobs)
    assert [Job.objects.get(pk=job.pk).status for job in jobs] == ["waiting", "waiting", "succeeded", "running"]


def test_retrying_a_kind_that_is_gone_says_so(admin, ada):
    jobs = [write_job(ada, status="failed", kind="gone"), write_job(ada, status="failed")]

    page = act(admin, "retry", jobs)

    assert "1 of 2 are waiting for a worker again." in page
    assert "No function decorated with @job is called gone." in page


def test_staff_cancel_what_is_unfinished(admin, ada):
    before = ["waiting", "waiting", "running", "succeeded", "cancelled"]
    jobs = [write_job(ada, status=status) for status in before]

    assert "2 of 5 cancelled, 1 asked to stop." in act(admin, "cancel", jobs)
    after = ["cancelled", "cancelled", "running", "succeeded", "cancelled"]
    assert [Job.objects.get(pk=job.pk).status for job in jobs] == after


def test_staff_who_may_only_look_neither_retry_nor_cancel(client, ada, grace):
    job = write_job(ada)
    grace.is_staff = True
    grace.save()
    grace.user_permissions.add(Permission.objects.get(codename="view_job"))
    client.force_login(grace)

    assert 'value="cancel"' not in page_of(client, ADMIN_LIST)
    act(client, "cancel", [job])
    assert Job.objects.get().status == "waiting"


def test_staff_delete_a_running_job_and_its_worker_writes_nothing_more(admin, ada):
    job = lifecycle.claim(write_job(ada).pk)

    admin.post(ADMIN_LIST, {"action": "delete_selected", "_selected_action": [job.pk], "post": "yes"})

    assert not Job.objects.exists()
    with pytest.raises(LeaseLost):
        lifecycle.mark_succeeded(job, 20, "", Progress())
