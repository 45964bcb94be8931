"""Who may use the REST API, and how often."""

import pytest
from django.contrib.auth import get_user_model
from rest_framework.test import APIClient

from jobs import submit
from jobs.api import throttling
from jobs.models import Job
from tests.jobs.api.helpers import DOUBLE, client_of, submit_json


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/api/"),
        ("get", "/api/jobs/"),
        ("post", "/api/jobs/"),
        ("get", "/api/jobs/00000000-0000-0000-0000-000000000000/"),
        ("post", "/api/jobs/00000000-0000-0000-0000-000000000000/cancel/"),
        ("get", "/api/schema/"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"HTTP_AUTHORIZATION": "Token wrong"}, {"HTTP_AUTHORIZATION": "Token \xff"}])
def test_a_request_without_a_valid_token_gets_401(method, path, headers):
    response = getattr(APIClient(), method)(path, **headers)

    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Token")


@pytest.mark.parametrize("name", ["1", "x" * 5000, "%00", "%FF", "0.5"])
def test_a_text_that_is_not_an_id_is_not_found(client, name):
    response = client.get(f"/api/jobs/{name}/")

    assert (response.status_code, response["Content-Type"]) == (404, "application/json")


@pytest.mark.parametrize("staff", [False, True])
def test_the_jobs_of_others_are_not_found(client, ada, grace, staff):
    get_user_model().objects.filter(pk=ada.pk).update(is_staff=staff, is_superuser=staff)
    for owner in (grace, None):
        job = submit("multiply", x=4, y=5, owner=owner)

        assert client.get(f"/api/jobs/{job.pk}/").status_code == 404
        assert client.post(f"/api/jobs/{job.pk}/cancel/").status_code == 404
        assert client.get(f"/api/jobs/{job.pk}/download/").status_code == 404
        assert Job.objects.get(pk=job.pk).status == "waiting"
    assert client.get("/api/jobs/").json()["count"] == 0


def test_a_session_needs_the_csrf_token(ada):
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(ada)

    assert client.get("/api/jobs/").status_code == 200
    assert submit_json(client, DOUBLE).status_code == 403


def test_a_user_who_submits_too_often_gets_retry_after_and_others_may_go_on(client, grace, monkeypatch):
    monkeypatch.setitem(throttling.SubmitThrottle.THROTTLE_RATES, "submit", "2/min")

    responses = [submit_json(client, DOUBLE) for _ in range(3)]

    assert [response.status_code for response in responses] == [202, 202, 429]
    assert 0 < int(responses[2]["Retry-After"]) <= 60
    assert client.get("/api/jobs/").status_code == 200
    assert submit_json(client_of(grace), DOUBLE).status_code == 202


@pytest.mark.parametrize("path", ["/api/jobs/", "/api/schema/"])
def test_a_user_who_sends_too_many_requests_gets_429(client, monkeypatch, path):
    monkeypatch.setitem(throttling.UserThrottle.THROTTLE_RATES, "user", "1/min")

    assert [client.get(path).status_code for _ in range(2)] == [200, 429]


def test_requests_are_not_limited_while_the_cache_is_down(client, settings, caplog):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"}
    }

    assert submit_json(client, DOUBLE).status_code == 202
    assert "the cache does not answer" in caplog.text
