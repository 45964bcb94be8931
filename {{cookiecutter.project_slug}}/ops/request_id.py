"""The request ID, which connects the log lines of a request with those of the tasks that it sends.

RequestIdMiddleware sets the ID. Every message that is published meanwhile carries it in a header, `request_id`, and the
worker sets it again while it runs the task. Code that stores work for later can store REQUEST_ID.get() with it.
"""

from contextvars import ContextVar
from typing import Any

from django.core.signals import request_finished
from django.dispatch import receiver

# The ID of the request that this thread is working for, or an empty string.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")


@receiver(request_finished)
def clear_after_request(**kwargs: Any) -> None:
    """Forget the ID once the response has been sent.

    The middleware would be too early: Django and gunicorn log their lines about the response after it returns.
    """
    REQUEST_ID.set("")


def add_to_message(headers: dict[str, Any], **kwargs: Any) -> None:
    """Receiver of before_task_publish: add the current request ID to the message's headers, unless they have one."""
    if request_id := REQUEST_ID.get():
        headers.setdefault("request_id", request_id)


def set_for_task(task: Any, **kwargs: Any) -> None:
    """Receiver of task_prerun: set the ID of the request that sent the task.

    A task that runs eagerly keeps the request ID of the code that called it.
    """
    if not task.request.is_eager:
        REQUEST_ID.set(task.request.get("request_id") or "")


def clear_after_task(task: Any, **kwargs: Any) -> None:
    """Receiver of task_postrun: forget the ID, unless the task ran eagerly."""
    if not task.request.is_eager:
        REQUEST_ID.set("")
