"""Logging in and out, and sessions: accounts/views.py, accounts/tasks.py."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils import timezone

from accounts.tasks import clear_sessions


@pytest.fixture
def ada(db):
    return get_user_model().objects.create_user("ada", password="let me in")  # noqa: S106  a password of this test


@pytest.mark.django_db
def test_the_login_page_has_the_fields_that_a_program_needs_to_log_in(client):
    page = client.get("/login/").content.decode()

    for name in ("csrfmiddlewaretoken", "username", "password"):
        assert f'name="{name}"' in page


def test_a_user_without_staff_rights_logs_in_and_out(client, ada):
    assert reverse("admin:index") not in client.get("/login/").content.decode()

    answer = client.post("/login/", {"username": "ada", "password": "let me in"})
    assert answer.headers["Location"] == resolve_url(settings.LOGIN_REDIRECT_URL)
    page = client.get("/password/change/").content.decode()
    assert ">ada</a>" in page
    assert reverse("admin:index") not in page

    assert client.post("/logout/").headers["Location"] == "/login/"
    assert client.get("/password/change/").headers["Location"] == "/login/?next=/password/change/"


def test_the_header_has_the_users_name_the_navigation_and_for_staff_the_admin(client, ada, settings):
    settings.NAVIGATION = [("password_reset", "A page"), ("deleted:home", "A deleted page")]
    ada.is_staff = True
    ada.save()
    client.force_login(ada)

    header = client.get("/password/change/").content.decode().partition("<main>")[0]

    assert '<a href="/password/change/" title="Change your password">ada</a>' in header
    assert "Log out" in header
    assert '<a href="/password/reset/">A page</a>' in header
    assert "A deleted page" not in header
    assert f'href="{reverse("admin:index")}"' in header


def test_the_login_page_reports_a_wrong_password(client, ada):
    answer = client.post("/login/", {"username": "ada", "password": "let me out"})

    assert "enter a correct username and password" in answer.content.decode()


def test_people_come_back_to_the_page_that_asked_them_to_log_in(client, ada):
    answer = client.post("/login/?next=/password/change/", {"username": "ada", "password": "let me in"})

    assert answer.headers["Location"] == "/password/change/"


@pytest.mark.django_db
def test_only_expired_sessions_are_cleared():
    for key, hours in [("expired", -1), ("valid", 1)]:
        Session.objects.create(session_key=key, session_data="", expire_date=timezone.now() + timedelta(hours=hours))

    clear_sessions()

    assert [session.session_key for session in Session.objects.all()] == ["valid"]
