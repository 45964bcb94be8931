"""Times that don't fit together are refused: ops/checks.py."""

import pytest
from celery import shared_task
from django.core.checks import run_checks


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
