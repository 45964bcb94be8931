"""What a page may load: ops/csp.py."""

import pytest
from django.http import HttpResponse
from django.urls import reverse

from ops.csp import ContentSecurityPolicyMiddleware


@pytest.fixture
def policy_of(rf):
    """Return a function: the policy that is sent with an answer to a request."""

    def sent(answer: HttpResponse) -> str | None:
        return ContentSecurityPolicyMiddleware(lambda request: answer)(rf.get("/")).headers.get(
            "Content-Security-Policy"
        )

    return sent


@pytest.mark.django_db
def test_a_page_may_load_only_what_is_the_sites_own(client):
    policy = client.get(reverse("admin:login")).headers["Content-Security-Policy"].split("; ")

    assert "default-src 'self'" in policy
    assert {"object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"} < set(policy)
    assert "unsafe" not in " ".join(policy)


@pytest.mark.django_db
def test_the_admins_pages_have_no_script_that_the_policy_would_refuse(admin_client):
    page = admin_client.get(reverse("admin:auth_user_add")).content.decode()

    assert "<script src=" in page
    assert "<script>" not in page
    assert " onclick=" not in page


def test_a_view_may_have_a_policy_of_its_own(policy_of):
    own = HttpResponse(headers={"Content-Security-Policy": "sandbox"})

    assert policy_of(own) == "sandbox"


@pytest.mark.parametrize("status", [404, 500])
def test_djangos_pages_about_an_error_keep_their_style_in_development_only(settings, policy_of, status):
    assert policy_of(HttpResponse(status=status))

    settings.DEBUG = True
    assert policy_of(HttpResponse(status=status)) is None
    assert policy_of(HttpResponse())
