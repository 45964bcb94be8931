"""Adds the request and the task to log records."""

import logging

from celery import current_app

from ops.request_id import REQUEST_ID


class ContextFilter(logging.Filter):
    """Adds request_id, task_id and task_name to each record, as far as they are known."""

    def filter(self, record: logging.LogRecord) -> bool:
        if request_id := REQUEST_ID.get():
            record.request_id = request_id
        if task := current_app.current_worker_task:
            record.task_id, record.task_name = task.request.id, task.name
        elif isinstance(data := getattr(record, "data", None), dict):
            # The worker's main process runs no task itself; Celery puts the task that a line is about into `data`.
            record.task_id, record.task_name = data.get("id"), data.get("name")
        return True
