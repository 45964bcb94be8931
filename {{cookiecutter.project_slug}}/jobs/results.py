"""Finds out how far a task is."""

from dataclasses import dataclass
from typing import Any

{% if cookiecutter.result_backend == "none" %}
from jobs.models import Trace
{% else %}
from celery.result import AsyncResult
{% endif %}


@dataclass(frozen=True)
class Outcome:
    """`state` is one of Celery's: PENDING (waiting or unknown), STARTED, RETRY, SUCCESS, FAILURE, REVOKED."""

    state: str
    result: Any = None

    @property
    def finished(self) -> bool:
        return self.state in {"SUCCESS", "FAILURE", "REVOKED"}


def outcome_of(task_id: str) -> Outcome:
{% if cookiecutter.result_backend == "none" %}
    """Return how far the task is, by the Trace that it leaves: PENDING until then, SUCCESS after."""
    trace = Trace.objects.filter(task_id=task_id).first()
    return Outcome("SUCCESS", trace.result) if trace else Outcome("PENDING")
{% else %}
    """Return how far the task is, by the result backend; `result` is the exception's text if it failed."""
    answer = AsyncResult(task_id)
    # The state first: once it is final the backend's answer is kept, so the result is of the same moment.
    state = answer.state
    result = answer.result
    return Outcome(state, str(result) if isinstance(result, Exception) else result)
{% endif %}
