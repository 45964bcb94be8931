"""Lets a worker keep its database connections from one task to the next, as web keeps them between requests.

Celery closes them before and after each task, whatever CONN_MAX_AGE says. CELERY_DB_REUSE_MAX keeps it from doing so.
"""

from typing import Any

from celery import Task, states
from django.db import close_old_connections, connections


def close_old_before_task(sender: Task, **kwargs: Any) -> None:
    """Receiver of task_prerun: close connections that are older than CONN_MAX_AGE or had an error.

    With CONN_HEALTH_CHECKS, Django then checks each connection before the task uses it for the first time.
    """
    if not sender.request.is_eager:
        close_old_connections()


def close_after_task(sender: Task, state: str | None = None, **kwargs: Any) -> None:
    """Receiver of task_postrun: close the connections of a task that has not succeeded, and otherwise only old ones.

    A task that was interrupted inside a query, for example by its soft time limit, leaves a connection on which the
    query is still running.
    """
    if sender.request.is_eager:
        return
    if state == states.SUCCESS:
        close_old_connections()
    else:
        connections.close_all()
