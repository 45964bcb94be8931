"""What the health checks of web ask: ops/web/health.py."""

import pytest
from django.db import connection
from django.db.utils import OperationalError


def test_livez_needs_no_database_and_no_known_host(client):
    assert client.get("/livez", headers={"host": "10.0.0.1"}).status_code == 200


@pytest.mark.django_db
def test_readyz_is_200_while_the_database_answers(client):
    assert client.get("/readyz").status_code == 200


def test_readyz_is_503_while_the_database_does_not_answer(client, monkeypatch):
    def refuse():
        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "cursor", refuse)

    assert client.get("/readyz").status_code == 503
