"""The home page: a form that sends a sample task, and the versions of what runs here."""

import logging
import platform
from typing import Any
from uuid import UUID, uuid4

import celery
import django
from django.conf import settings
from django.contrib.auth.decorators import user_passes_test
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST
from kombu.exceptions import OperationalError

from example.forms import AddForm
from example.models import TaskRun
from example.results import get_outcome
from example.tasks import add, tick

logger = logging.getLogger(__name__)

# Anyone may send tasks on a developer's machine. In production strangers must not, so they are sent to LOGIN_URL.
login_required_in_production = user_passes_test(lambda user: settings.DEBUG or user.is_authenticated)


def _what_runs_here() -> dict[str, str]:
    conf = celery.current_app.conf
    parts = {
        "Python": platform.python_version(),
        "Django": django.get_version(),
        "Celery": celery.__version__,
        "Database": connection.vendor,
        "Broker": celery.current_app.connection().transport_cls,
        "Result backend": (conf.result_backend or "none").split(":")[0],
    }
    if conf.beat_schedule:
        run = TaskRun.objects.filter(task_name=tick.name).first()
        parts["Last scheduled run"] = f"{timezone.localtime(run.finished_at):%H:%M:%S %Z}" if run else "none yet"
    return parts


def _render_home(request: HttpRequest, form: AddForm, status: int = 200, **context: Any) -> HttpResponse:
    # Versions tell an attacker which known holes to try, so in production only staff see them.
    parts = _what_runs_here() if settings.DEBUG or request.user.is_staff else {}
    return render(request, "example/home.html", {"form": form, "parts": parts, **context}, status=status)


@login_required_in_production
def home(request: HttpRequest) -> HttpResponse:
    """Show the form that sends `add`, and what runs here."""
    return _render_home(request, AddForm())


@login_required_in_production
@require_POST
def send(request: HttpRequest) -> HttpResponse:
    """Send `add` to a worker and redirect to its page. Answer 400 if x or y is not a number that the form accepts, and
    503 if the broker can't be reached.
    """
    form = AddForm(request.POST)
    if not form.is_valid():
        return _render_home(request, form, status=400)
    task_id = str(uuid4())
    try:
        # delay_on_commit(), but with an id that is known before the commit, because the redirect needs it. There is no
        # transaction here, because the project does not set ATOMIC_REQUESTS: the task is sent at once, and an error of
        # the broker arrives here.
        add.apply_async_on_commit(kwargs=form.cleaned_data, task_id=task_id)
    except OperationalError as error:
        logger.warning("The broker can't be reached, so the task was not sent: %s", error)
        form.add_error(None, "The broker can't be reached, so the task was not sent.")
        return _render_home(request, form, status=503)
    return redirect("example:task", task_id=task_id)


@login_required_in_production
def task_detail(request: HttpRequest, task_id: UUID) -> HttpResponse:
    """Show how far a task is. The page reloads itself until the task has finished."""
    return _render_home(request, AddForm(), task_id=task_id, outcome=get_outcome(str(task_id)))
