"""Makes a request and its tasks findable in the logs, by an id that all their lines have.

A request gets the id, its answer says it in X-Request-ID, and its tasks' messages take it to the workers in a header,
`request_id`. A job keeps it in its row, for the message that the sweep sends.
"""

import logging
import re
import uuid
from contextvars import ContextVar

from celery import current_app
from django.core.signals import request_finished
from django.dispatch import receiver

# What this thread works for: the id of a request, or nothing.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
VALID = re.compile(r"[A-Za-z0-9-]{1,64}")


class RequestIdMiddleware:
    """Takes the id that the proxy sends in X-Request-ID, or makes one, and answers it in the same header."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        sent = request.headers.get("X-Request-ID", "")
        request_id = sent if VALID.fullmatch(sent) else uuid.uuid4().hex
        REQUEST_ID.set(request_id)
        response = self.get_response(request)
        response.headers["X-Request-ID"] = request_id
        return response


@receiver(request_finished)
def leave_request(**kwargs) -> None:
    """Forget the id. Not when the middleware ends: Django's and gunicorn's lines about the answer come after that."""
    REQUEST_ID.set("")


def send_along(headers: dict, **kwargs) -> None:
    """Receiver of before_task_publish: the message takes the id along."""
    if request_id := REQUEST_ID.get():
        headers.setdefault("request_id", request_id)


def enter_task(task, **kwargs) -> None:
    """Receiver of task_prerun: work for the request that sent the task. One that runs in its sender's process, by
    apply(), works for what its sender works for.
    """
    if not task.request.is_eager:
        REQUEST_ID.set(task.request.get("request_id") or "")


def leave_task(task, **kwargs) -> None:
    """Receiver of task_postrun: forget the id."""
    if not task.request.is_eager:
        REQUEST_ID.set("")


class ContextFilter(logging.Filter):
    """Adds to each record what it belongs to, where there is something: request_id, task_id and task_name."""

    def filter(self, record: logging.LogRecord) -> bool:
        if request_id := REQUEST_ID.get():
            record.request_id = request_id
        if task := current_app.current_worker_task:
            record.task_id, record.task_name = task.request.id, task.name
        elif isinstance(told := getattr(record, "data", None), dict):  # by Celery's main process, of a task
            record.task_id, record.task_name = told.get("id"), told.get("name")
        return True
