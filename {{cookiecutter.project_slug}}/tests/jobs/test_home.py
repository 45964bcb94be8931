"""The page at / and the admin."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from kombu.exceptions import OperationalError

from jobs.tasks import add
from tests.waiting import wait_for


@pytest.fixture
def staff_client(client, transactional_db):
    client.force_login(get_user_model().objects.create_superuser("staff"))
    return client


def test_the_page_says_what_runs(staff_client, settings):
    page = staff_client.get("/")

    assert settings.PROJECT_NAME in page.context["name"]
    for part in ("Django", "Celery", "Broker", "Result backend"):
        assert part in page.content.decode()


def test_the_page_leads_to_the_jobs_and_the_admin(staff_client):
    page = staff_client.get("/").content.decode()

    main = page.partition("<main>")[2]
    assert 'href="/jobs/"' in main
    assert f'href="{reverse("admin:index")}"' in main


def test_a_sum_sent_from_the_page_comes_back_to_the_page(worker, staff_client):
    answer = staff_client.post("/add/", {"x": 4, "y": 5})
    assert answer.status_code == 302

    def finished():
        text = staff_client.get(answer["Location"]).content.decode()
        return 'http-equiv="refresh"' not in text and text

    assert re.search(r"<output>9</output>", wait_for(finished, "the result on the page"))


def test_the_page_reloads_itself_while_a_task_waits(staff_client):
    page = staff_client.get("/tasks/00000000-0000-0000-0000-000000000000/")

    assert 'http-equiv="refresh"' in page.content.decode()


def test_what_is_not_a_number_is_refused_beside_the_form(staff_client):
    answer = staff_client.post("/add/", {"x": "four", "y": 5})

    assert answer.status_code == 400
    assert "Enter a whole number" in answer.content.decode()


def test_a_broker_that_is_away_is_said_on_the_page(staff_client, monkeypatch):
    def refuse(**numbers):
        raise OperationalError("connection refused")

    monkeypatch.setattr(add, "delay", refuse)

    answer = staff_client.post("/add/", {"x": 4, "y": 5})

    assert answer.status_code == 503
    assert "connection refused" in answer.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/", "/tasks/00000000-0000-0000-0000-000000000000/"])
def test_the_page_is_for_staff_where_debug_is_off(client, address):
    assert client.get(address).headers["Location"].startswith(reverse("admin:login"))


@pytest.mark.django_db
def test_only_staff_can_send_a_task_where_debug_is_off(client):
    assert client.post("/add/", {"x": 4, "y": 5}).headers["Location"].startswith(reverse("admin:login"))


def test_the_admin_shows_traces(staff_client):
    assert staff_client.get(reverse("admin:jobs_trace_changelist")).status_code == 200
