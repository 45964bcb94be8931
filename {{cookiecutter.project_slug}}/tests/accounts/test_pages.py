"""The pages of accounts and the frame around them: templates/base.html, accounts/templates/."""

import re

import pytest
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.auth.tokens import default_token_generator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path
from django.utils.html import escape
from django.utils.http import urlsafe_base64_encode


def show_messages(request: HttpRequest) -> HttpResponse:
    """Answer a page with one message of each level that views use."""
    messages.success(request, "Saved")
    messages.error(request, "Not <saved>")
    return render(request, "base.html")


# The only URLs while these tests run: a project from which everything but accounts was deleted.
urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
    path("messages/", show_messages),
]


@pytest.fixture(autouse=True)
def only_accounts(settings):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app.startswith("django.") or app == "accounts"]
    settings.ROOT_URLCONF = __name__
    settings.LOGIN_REDIRECT_URL = "/"


@pytest.fixture
def ada(db):
    return get_user_model().objects.create_user("ada", "ada@example.com", "let me in", is_staff=True)


def reset_link(user) -> str:
    uid = urlsafe_base64_encode(str(user.pk).encode())
    return f"/password/reset/{uid}/{default_token_generator.make_token(user)}/"


PAGES = {
    "/login/": "Log in",
    "/password/change/": "Change your password",
    "/password/change/done/": "Password changed",
    "/password/reset/": "Reset your password",
    "/password/reset/done/": "Check your email",
    "/password/reset/complete/": "Password set",
    "/password/reset/MQ/wrong/": "This link does not work",
    "the link of a mail": "Set a new password",
}


@pytest.fixture(params=PAGES)
def page(request, client, ada) -> str:
    """Each page in turn, as HTML."""
    address = reset_link(ada) if request.param == "the link of a mail" else request.param
    if address.startswith("/password/change/"):
        client.force_login(ada)
    answer = client.get(address, follow=True)
    assert answer.status_code == 200
    html = answer.content.decode()
    assert f"<h1>{PAGES[request.param]}</h1>" in html
    return html


def test_each_page_works_without_the_rest_of_the_project(page, settings):
    assert escape(settings.PROJECT_NAME) in page


def test_no_page_has_inline_styles_or_scripts_or_loads_anything_from_elsewhere(page):
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=|javascript:", page)
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page)


def test_each_page_fits_a_phone(page):
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page


def test_each_field_has_a_label(page):
    labels = set(re.findall(r'<label for="(\w+)"', page))
    for field in re.findall(r"<input[^>]*>", page):
        if 'type="hidden"' not in field and "aria-label=" not in field:
            assert re.search(r'id="(\w+)"', field)[1] in labels


@pytest.mark.django_db
def test_messages_of_views_are_shown_with_their_html_escaped(client):
    page = client.get("/messages/").content.decode()

    assert '<p class="message" data-level="success" role="status">Saved</p>' in page
    assert '<p class="message" data-level="error" role="status">Not &lt;saved&gt;</p>' in page
