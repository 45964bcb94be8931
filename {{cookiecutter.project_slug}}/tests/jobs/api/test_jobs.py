"""Programs watch, cancel and find jobs by the REST API."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import lifecycle, output, submit
from jobs.executor import execute
from jobs.models import Job


def test_the_list_is_filtered_and_has_pages(client, ada):
    for number in range(51):
        submit("multiply", x=number, y=0, owner=ada)
    failed = submit("double", number=3, owner=ada)
    Job.objects.filter(pk=failed.pk).update(status="failed", created_at=timezone.now() + timedelta(seconds=1))

    first, second = (client.get("/api/jobs/", {"page": page}).json() for page in (1, 2))
    found = [client.get(f"/api/jobs/?{query}").json() for query in ("status=failed", "kind=double", "kind=shout")]

    assert (first["count"], len(first["results"]), len(second["results"])) == (52, 50, 2)
    assert len({job["id"] for job in first["results"] + second["results"]}) == 52
    assert first["results"][0]["id"] == str(failed.pk)
    assert [[job["id"] for job in page["results"]] for page in found] == [[str(failed.pk)], [str(failed.pk)], []]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("page=0", 404),
        ("page=x", 404),
        ("page=-1", 404),
        ("page=%00", 404),
        ("page=" + "9" * 5000, 404),
        ("status=lost", 400),
        ("status=%00", 400),
        ("kind=%00", 400),
        ("kind=%ED%A0%80", 200),
        ("%00=%00", 200),
        ("format=%00", 404),
    ],
)
def test_an_unusual_query_is_not_an_error_of_the_server(client, query, status):
    assert client.get(f"/api/jobs/?{query}").status_code == status


def test_a_waiting_job_is_cancelled_once(client, ada):
    job = submit("multiply", x=4, y=5, owner=ada)

    first, second = (client.post(f"/api/jobs/{job.pk}/cancel/") for _ in range(2))

    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert (second.status_code, second.json()["detail"]) == (
        409,
        "This job has finished, so it can't be cancelled.",
    )


def test_a_running_job_is_asked_to_stop(client, ada):
    job = submit("multiply", x=4, y=5, owner=ada)
    lifecycle.claim(job.pk)

    response = client.post(f"/api/jobs/{job.pk}/cancel/")

    assert (response.status_code, response.json()["status"]) == (200, "running")
    assert Job.objects.get(pk=job.pk).cancel_requested


def test_cancelling_a_job_that_ends_at_the_same_moment_says_that_it_has_ended(client, ada, monkeypatch):
    job = submit("multiply", x=4, y=5, owner=ada)
    cancel = lifecycle.cancel

    def too_late(job):
        execute(str(job.pk))
        return cancel(job)

    monkeypatch.setattr(lifecycle, "cancel", too_late)

    assert client.post(f"/api/jobs/{job.pk}/cancel/").status_code == 409


def test_a_file_that_a_failed_job_wrote_is_not_offered(client, ada, define):
    @define()
    def write():
        with output("half.txt") as file:
            file.write(b"half")

    job = submit("write", owner=ada)
    execute(str(job.pk))
    Job.objects.filter(pk=job.pk).update(status="failed")

    assert client.get(f"/api/jobs/{job.pk}/").json()["download"] is None


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
def test_a_browser_gets_pages(client, ada, method):
    job = submit("multiply", x=4, y=5, owner=ada)
    for path in ["/api/", "/api/jobs/", f"/api/jobs/{job.pk}/", f"/api/jobs/{job.pk}/cancel/"]:
        response = client.generic(method, path, HTTP_ACCEPT="text/html")

        assert response["Content-Type"].startswith("text/html")
        assert response.status_code in {200, 400, 405, 415}
