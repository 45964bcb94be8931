"""Numbers that don't fit together are refused: ops/checks.py."""

from types import SimpleNamespace

import pytest
from celery import shared_task
from django.core.checks import run_checks

from ops import checks


@shared_task(time_limit=20)
def brief() -> None:
    """A task with a limit that a test changes."""


def found() -> list[str]:
    return [message.id for message in run_checks() if message.id.startswith("ops.")]


def test_the_settings_fit_together():
    assert found() == []


def test_a_worker_needs_time_to_stop(settings):
    settings.STOP_GRACE_SECONDS, settings.DRAIN_SECONDS = 25, 5

    assert found() == ["ops.E001"]


def test_a_task_may_not_run_for_so_long_that_its_message_is_handed_out_again(settings, monkeypatch):
{% if cookiecutter.broker == "redis" %}
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 900}
    monkeypatch.setattr(brief, "time_limit", 450)
{% else %}
    monkeypatch.setattr(brief, "time_limit", 900)
{% endif %}

    assert found() == ["ops.E002"]


{% if cookiecutter.broker == "redis" %}
@pytest.mark.parametrize("limit", [300, 449])
{% else %}
@pytest.mark.parametrize("limit", [300, 899])
{% endif %}
def test_a_shorter_limit_is_fine(settings, monkeypatch, limit):
{% if cookiecutter.broker == "redis" %}
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 900}
{% endif %}
    monkeypatch.setattr(brief, "time_limit", limit)

    assert found() == []


# --- Connections to PostgreSQL -----------------------------------------------------------------------------------


@pytest.fixture
def postgresql(settings, monkeypatch):
    """The settings of a small site on PostgreSQL."""
    monkeypatch.setattr(checks, "connection", SimpleNamespace(vendor="postgresql"))
    settings.WEB_PROCESSES, settings.WEB_THREADS = 2, 4
    settings.WORKER_REPLICAS, settings.WORKER_CONCURRENCY = 1, 2
    settings.POSTGRES_MAX_CONNECTIONS = 100
    return settings


def test_there_are_connections_for_everybody(postgresql):
    assert found() == []


def test_a_connection_too_few_is_refused_with_the_share_of_each_service(postgresql):
    shares = checks.connection_shares()
    needed = sum(shares.values())

    postgresql.POSTGRES_MAX_CONNECTIONS = needed + checks.RESERVED
    assert found() == []

    postgresql.POSTGRES_MAX_CONNECTIONS -= 1
    assert found() == ["ops.E003"]
    message = checks.connections(None)[0].msg
    assert message.startswith(f"{needed} connections to PostgreSQL may be needed and there are {needed - 1}: ")
    assert "web 16, worker 10, sweep 2, " in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value", "service", "more"),
    [
        ("WEB_PROCESSES", 3, "web", 2 * 4),
        ("WEB_THREADS", 5, "web", 2 * 2),
        ("WORKER_REPLICAS", 2, "worker", 2 * 5),
        ("WORKER_CONCURRENCY", 3, "worker", 2 * 2),
    ],
)
def test_processes_and_threads_count_twice_because_a_deploy_has_old_and_new_ones(
    postgresql, name, value, service, more
):
    before = checks.connection_shares()

    setattr(postgresql, name, value)

    assert checks.connection_shares() == before | {service: before[service] + more}


def test_the_connections_of_another_database_are_not_counted(postgresql, monkeypatch):
    monkeypatch.setattr(checks, "connection", SimpleNamespace(vendor="sqlite"))
    postgresql.POSTGRES_MAX_CONNECTIONS = 4

    assert found() == []
