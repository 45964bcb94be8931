"""Finds out how far a task is, with or without a result backend."""

from dataclasses import dataclass
from typing import Any

from celery import current_app
from celery.result import AsyncResult

from example.models import TaskRun


@dataclass(frozen=True)
class TaskOutcome:
    """`state` is one of Celery's: PENDING (waiting, running or unknown), RETRY, SUCCESS, FAILURE, REVOKED."""

    state: str
    result: Any = None

    @property
    def is_finished(self) -> bool:
        """Return whether the state is final."""
        return self.state in {"SUCCESS", "FAILURE", "REVOKED"}


def get_outcome(task_id: str) -> TaskOutcome:
    """Return how far the task with this id is; `result` is the error message if the task failed.

    Without a result backend, a task is SUCCESS once it has recorded a TaskRun and PENDING until then, so a task that
    failed stays PENDING.
    """
    if current_app.conf.result_backend is None:
        run = TaskRun.objects.filter(task_id=task_id).first()
        return TaskOutcome("SUCCESS", run.result) if run else TaskOutcome("PENDING")
    answer = AsyncResult(task_id)
    # Read the state first. AsyncResult keeps the answer once the state is final, so the result belongs to that state.
    state = answer.state
    result = answer.result
    return TaskOutcome(state, str(result) if isinstance(result, Exception) else result)
