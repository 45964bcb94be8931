"""Programs submit jobs to the REST API and get their results."""

from django.contrib.auth import get_user_model
from rest_framework.test import APIClient

from jobs.models import Job
from tests.jobs.api.helpers import DOUBLE, client_of, submit_file, submit_json
from tests.support.waiting import wait_for


def test_a_submitted_job_has_an_address_which_says_how_it_ended(dispatching, client):
    response = submit_json(client, DOUBLE)

    assert response.status_code == 202
    job = response.json()
    assert (job["kind"], job["arguments"], job["status"]) == ("double", {"number": 3}, "waiting")
    assert job["url"] == response["Location"] == f"http://testserver/api/jobs/{job['id']}/"
    wait_for(lambda: client.get(job["url"]).json()["finished_at"], "the end of the job")
    job = client.get(job["url"]).json()
    assert (job["status"], job["result"], job["percent"], job["download"]) == ("succeeded", 6, 100, None)


def test_an_uploaded_file_is_worked_on_and_the_output_can_be_downloaded(dispatching, client):
    job = submit_file(client, b"hello").json()

    wait_for(lambda: client.get(job["url"]).json()["finished_at"], "the end of the job")

    job = client.get(job["url"]).json()
    assert (job["status"], job["result"]) == ("succeeded", {"bytes": 5})
    assert job["download"] == f"http://testserver/api/jobs/{job['id']}/download/"
    assert client.get(job["download"]).getvalue() == b"HELLO"


def test_arguments_beside_a_file_may_be_empty(client):
    assert [submit_file(client, arguments=empty).status_code for empty in ("", "{}")] == [202, 202]


def test_the_form_of_the_browsable_api_submits_a_job(ada):
    client = APIClient()
    client.force_login(ada)
    fields = {"kind": "double", "arguments": '{"number": 3}', "idempotency_key": "", "csrfmiddlewaretoken": "x"}

    response = client.post("/api/jobs/", fields, HTTP_ACCEPT="text/html")

    assert response.status_code == 202
    assert Job.objects.get().arguments == {"number": 3}


# --- Idempotency keys ---------------------------------------------------------------------------------------------


def test_the_same_key_again_is_the_same_job(client):
    responses = [submit_json(client, DOUBLE | {"idempotency_key": "order 7"}) for _ in range(2)]

    assert [response.status_code for response in responses] == [202, 202]
    assert responses[0].json() == responses[1].json()
    assert responses[0].json()["idempotency_key"] == "order 7"
    assert Job.objects.count() == 1


def test_a_key_of_another_job_is_refused(client):
    submit_json(client, DOUBLE | {"idempotency_key": "order 7"})

    response = submit_json(client, {"kind": "double", "arguments": {"number": 4}, "idempotency_key": "order 7"})

    assert (response.status_code, [*response.json()]) == (400, ["idempotency_key"])


def test_two_users_may_use_the_same_key_for_two_jobs(client):
    other = client_of(get_user_model().objects.create_user("grace"))

    first, second = (submit_json(each, DOUBLE | {"idempotency_key": "1"}) for each in (client, other))

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] != second.json()["id"]
