"""What the tests of the API share."""

import pytest
from django.core.cache import cache

from tests.jobs.api.helpers import client_of


@pytest.fixture(autouse=True)
def _no_earlier_requests():
    """Forget the requests of other tests, which count towards the limits."""
    cache.clear()


@pytest.fixture
def client(ada):
    """A client that sends Ada's token."""
    return client_of(ada)
