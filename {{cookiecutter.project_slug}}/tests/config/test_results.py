"""How tasks behave while the result backend is down: the settings of results in config/settings/celery.py."""

import subprocess
import sys
from contextlib import suppress

import pytest
from celery import shared_task
from celery.app.trace import build_tracer
from django.conf import settings

from config.celery import app
from tests.support.processes import RESULTS, environment

needs_results = pytest.mark.skipif(app.conf.result_backend is None, reason="this project keeps no results")
ran = []

# Sends a task that stores its result and one that does not, and says what their senders get.
SEND = """
from celery import shared_task
from config.celery import app

@shared_task(name="stores")
def stores(): ...

@shared_task(name="ignores", ignore_result=True)
def ignores(): ...

for task in (ignores, stores):
    try:
        task.delay()
        print(task.name, "sent")
    except Exception as error:
        print(task.name, type(error).__name__)
"""


@shared_task
def remember() -> None:
    """Leave a trace of having run."""
    ran.append(True)


class BackendIsDownError(Exception):
    """Raised instead of storing a result."""


def refuse(*args, **kwargs):
    raise BackendIsDownError


@needs_results
def test_a_plain_task_stores_its_result():
    assert not remember.ignore_result


@pytest.mark.filterwarnings("ignore:Exception raised outside body:RuntimeWarning")
def test_a_task_runs_although_its_state_and_its_result_cannot_be_stored(monkeypatch):
    monkeypatch.setattr(type(app.backend), "store_result", refuse)
    ran.clear()

    with suppress(BackendIsDownError):
        build_tracer(remember.name, remember, app=app)("1", (), {}, {"id": "1", "delivery_info": {}})

    assert ran


@needs_results
def test_a_result_that_cannot_be_stored_is_tried_four_times_within_seconds(monkeypatch):
    pauses, backend = [], app.backend
    monkeypatch.setattr(backend, "exception_safe_to_retry", lambda error: True)
    monkeypatch.setattr(backend, "_sleep", pauses.append)
    monkeypatch.setattr(backend, "_store_result", refuse)

    with pytest.raises(Exception, match="failed to store result"):
        backend.store_result("1", 9, "SUCCESS")

    assert len(pauses) == 3
    assert max(pauses) <= 2


@pytest.mark.slow
@pytest.mark.skipif(not RESULTS, reason="no server keeps the results of this project")
def test_with_only_the_result_backend_down_a_task_that_ignores_its_result_can_be_sent(tmp_path):
    answer = subprocess.run(  # noqa: S603  the test wrote the code
        [sys.executable, "-c", SEND],
        env=environment(tmp_path) | {"CELERY_RESULT_BACKEND": "redis://127.0.0.1:1/1"},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert answer.stdout.splitlines() == ["ignores sent", "stores RuntimeError"], answer.stderr
