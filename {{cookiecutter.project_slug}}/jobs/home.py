"""The page at /: what runs here, and a task to try it with."""

import platform

import celery
import django
from django.conf import settings
from django.contrib.auth.decorators import user_passes_test
from django.db import connection
from django.shortcuts import redirect, render
{% if cookiecutter.beat %}
from django.utils import timezone
{% endif %}
from django.views.decorators.http import require_POST
from kombu.exceptions import OperationalError

from jobs.forms import AddForm
{% if cookiecutter.beat %}
from jobs.models import Trace
{% endif %}
from jobs.results import outcome_of
from jobs.tasks import add

# The page names versions and sends tasks: open to a developer, in production to staff.
for_staff = user_passes_test(lambda user: settings.DEBUG or user.is_staff, login_url="admin:login")


def _page(request, form, status=200, **context):
    parts = {
        "Python": platform.python_version(),
        "Django": django.get_version(),
        "Celery": celery.__version__,
        "Database": connection.vendor,
        "Broker": celery.current_app.connection().transport_cls,
        "Result backend": (celery.current_app.conf.result_backend or "none").split(":")[0],
    }
{% if cookiecutter.beat %}
    tick = Trace.objects.filter(task="jobs.tasks.tick").first()
    parts["Last tick of beat"] = f"{timezone.localtime(tick.finished_at):%H:%M:%S %Z}" if tick else "none yet"
{% endif %}
    context |= {"name": settings.PROJECT_NAME, "parts": parts, "form": form}
    return render(request, "jobs/home.html", context, status=status)


@for_staff
def home(request):
    """What runs, and a form that sends `add`."""
    return _page(request, AddForm())


@for_staff
@require_POST
def send_add(request):
    """Send `add` to a worker and show its page; 400 for what are not numbers, 503 while the broker is away."""
    form = AddForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=400)
    try:
        sent = add.delay(**form.cleaned_data)
    except OperationalError as error:
        form.add_error(None, f"The broker does not answer, nothing was sent: {error}")
        return _page(request, form, status=503)
    return redirect("task", task_id=sent.id)


@for_staff
def task(request, task_id):
    """How far a task is. The page reloads itself until the task has finished."""
    return _page(request, AddForm(), task_id=task_id, outcome=outcome_of(str(task_id)))
