"""A body that is too large is refused before anything reads it."""

import pytest


@pytest.fixture
def limit(settings):
    settings.MAX_BODY_BYTES = 1000
    return settings.MAX_BODY_BYTES


@pytest.mark.parametrize("length", [str(1001), str(10 * 2**30)])
def test_a_body_that_claims_to_be_too_large_is_refused(client, limit, length):
    answer = client.post("/nothing-here/", b"", content_type="image/jpeg", headers={"content-length": length})

    assert answer.status_code == 413


@pytest.mark.parametrize("length", ["1000", "", "none"])
def test_any_other_body_is_not(client, limit, length):
    answer = client.post("/nothing-here/", b"", content_type="image/jpeg", headers={"content-length": length})

    assert answer.status_code == 404
