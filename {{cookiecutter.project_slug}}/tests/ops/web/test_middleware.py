"""The ID of a request, the limit for its body, and what its page may load: ops/web/middleware.py."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.urls import reverse

from ops.web.middleware import ContentSecurityPolicyMiddleware

# --- The ID of a request -----------------------------------------------------------------------------------------


def test_a_response_has_the_id_that_the_proxy_gave_the_request(client):
    assert client.get("/livez", headers={"X-Request-ID": "Request-1"}).headers["X-Request-ID"] == "Request-1"


@pytest.mark.parametrize("sent", [None, "", "a" * 65, "two words", "é", '"}', "1_2"])
def test_a_request_without_a_valid_id_gets_one(client, sent):
    headers = {} if sent is None else {"X-Request-ID": sent}

    ids = {client.get("/livez", headers=headers).headers["X-Request-ID"] for _ in range(2)}

    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in ids)


# --- The limit for a body ----------------------------------------------------------------------------------------


@pytest.fixture
def limit(settings):
    settings.MAX_BODY_BYTES = 1000
    return settings.MAX_BODY_BYTES


@pytest.mark.parametrize("length", [str(1001), str(10 * 2**30)])
def test_a_body_that_claims_to_be_too_large_is_refused(client, limit, length):
    response = client.post("/nothing-here/", b"", content_type="image/jpeg", headers={"content-length": length})

    assert response.status_code == 413


@pytest.mark.parametrize("length", ["1000", "", "none"])
def test_any_other_body_is_not_refused(client, limit, length):
    response = client.post("/nothing-here/", b"", content_type="image/jpeg", headers={"content-length": length})

    assert response.status_code == 404


# --- What a page may load ----------------------------------------------------------------------------------------


@pytest.fixture
def policy_of(rf):
    """Return a function that returns the policy that is sent with a response."""

    def sent(response: HttpResponse) -> str | None:
        middleware = ContentSecurityPolicyMiddleware(lambda request: response)
        return middleware(rf.get("/")).headers.get("Content-Security-Policy")

    return sent


@pytest.mark.django_db
def test_a_page_may_load_only_what_is_the_sites_own(client):
    policy = client.get(reverse("admin:login")).headers["Content-Security-Policy"].split("; ")

    assert "default-src 'self'" in policy
    assert {"object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"} < set(policy)
    assert "unsafe" not in " ".join(policy)


@pytest.mark.django_db
def test_the_admins_pages_have_no_script_that_the_policy_would_refuse(admin_client):
    user = get_user_model()._meta

    page = admin_client.get(reverse(f"admin:{user.app_label}_{user.model_name}_add")).content.decode()

    assert "<script src=" in page
    assert "<script>" not in page
    assert " onclick=" not in page


def test_a_view_may_have_a_policy_of_its_own(policy_of):
    own = HttpResponse(headers={"Content-Security-Policy": "sandbox"})

    assert policy_of(own) == "sandbox"


@pytest.mark.parametrize("status", [404, 500])
def test_djangos_error_pages_keep_their_style_in_development_only(settings, policy_of, status):
    assert policy_of(HttpResponse(status=status))

    settings.DEBUG = True
    assert policy_of(HttpResponse(status=status)) is None
    assert policy_of(HttpResponse())
