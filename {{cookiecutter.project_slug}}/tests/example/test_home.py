"""The home page and the admin of the samples: example/views.py, example/admin.py."""

import re
from html import unescape

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from kombu.exceptions import OperationalError

from config.celery import app
from example.models import TaskRun
from example.tasks import add, tick
from tests.support.waiting import wait_for

ANY_TASK = "/tasks/00000000-0000-0000-0000-000000000000/"


@pytest.fixture
def staff_client(client, transactional_db):
    client.force_login(get_user_model().objects.create_superuser("staff"))
    return client


@pytest.fixture
def user_client(client, transactional_db):
    client.force_login(get_user_model().objects.create_user("ada"))
    return client


def test_the_page_says_what_runs(staff_client, settings):
    page = staff_client.get("/").content.decode()

    assert f"<h1>{escape(settings.PROJECT_NAME)}</h1>" in page
    for part in ("Django", "Celery", "Broker", "Result backend"):
        assert f"<dt>{part}</dt>" in page


def test_in_production_only_staff_see_what_runs(user_client):
    page = user_client.get("/").content.decode()

    assert "Send a task" in page
    assert "What runs here" not in page


@pytest.mark.django_db
def test_in_development_the_page_is_open_and_says_what_runs(client, settings):
    settings.DEBUG = True

    page = client.get("/").content.decode()

    assert "Send a task" in page
    assert "What runs here" in page


def test_the_page_leads_to_the_other_pages_and_the_admin(staff_client, settings):
    page = staff_client.get("/").content.decode()

    for name, label in settings.NAVIGATION:
        assert re.search(rf'<a href="{reverse(name)}"[^>]*>{label}</a>', page)
    assert f'href="{reverse("admin:index")}"' in page


def test_the_page_says_when_the_schedule_last_ran(staff_client, monkeypatch):
    monkeypatch.setitem(app.conf, "beat_schedule", {"tick": {"task": tick.name, "schedule": 30}})
    assert "<dt>Last scheduled run</dt><dd>none yet</dd>" in staff_client.get("/").content.decode()

    run = TaskRun.objects.create(task_id="1", task_name=tick.name, worker="w")

    time = f"{timezone.localtime(run.finished_at):%H:%M:%S %Z}"
    assert f"<dt>Last scheduled run</dt><dd>{time}</dd>" in staff_client.get("/").content.decode()


def test_without_a_schedule_the_page_does_not_mention_it(staff_client, monkeypatch):
    monkeypatch.setitem(app.conf, "beat_schedule", {})

    assert "Last scheduled run" not in staff_client.get("/").content.decode()


def test_a_sum_sent_from_the_page_comes_back_to_the_page(worker, user_client):
    answer = user_client.post("/add/", {"x": 4, "y": 5})
    assert answer.status_code == 302

    def finished():
        text = user_client.get(answer["Location"]).content.decode()
        return 'http-equiv="refresh"' not in text and text

    assert re.search(r"<output>9</output>", wait_for(finished, "the result on the page"))


def test_the_page_reloads_itself_while_a_task_waits(user_client):
    page = user_client.get(ANY_TASK).content.decode()

    assert 'http-equiv="refresh"' in page


def test_what_is_not_a_number_is_refused_beside_the_form(user_client):
    answer = user_client.post("/add/", {"x": "four", "y": 5})

    assert answer.status_code == 400
    assert "Enter a whole number" in answer.content.decode()


def test_the_page_says_that_the_broker_is_down(user_client, monkeypatch):
    def refuse(*args, **options):
        raise OperationalError("connection to 10.0.0.7 refused")

    monkeypatch.setattr(add, "apply_async", refuse)

    answer = user_client.post("/add/", {"x": 4, "y": 5})

    assert answer.status_code == 503
    page = unescape(answer.content.decode())
    assert "The broker can't be reached, so the task was not sent." in page
    assert "10.0.0.7" not in page  # names of our servers are for the log


def test_a_sum_is_sent_only_when_the_transaction_around_the_view_is_committed(user_client, monkeypatch):
    sent = []
    monkeypatch.setattr(add, "apply_async", lambda *args, **options: sent.append(options))

    with transaction.atomic():
        answer = user_client.post("/add/", {"x": 4, "y": 5})
        assert sent == []

    assert [options["kwargs"] for options in sent] == [{"x": 4, "y": 5}]
    assert answer["Location"] == f"/tasks/{sent[0]['task_id']}/"


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/", ANY_TASK])
def test_in_production_the_page_is_for_users_who_are_logged_in(client, address):
    assert client.get(address).headers["Location"] == f"/login/?next={address}"


@pytest.mark.django_db
def test_in_production_only_users_who_are_logged_in_send_a_task(client):
    assert client.post("/add/", {"x": 4, "y": 5}).headers["Location"] == "/login/?next=/add/"


def test_the_admin_shows_what_tasks_have_recorded(staff_client):
    TaskRun.objects.create(task_id="1", task_name=tick.name, worker="w")

    assert tick.name in staff_client.get(reverse("admin:example_taskrun_changelist")).content.decode()
    assert staff_client.get(reverse("admin:example_taskrun_add")).status_code == 403


def test_the_page_has_no_inline_styles_or_scripts(staff_client):
    for address in ("/", ANY_TASK):
        page = staff_client.get(address).content.decode()
        assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=", page)
