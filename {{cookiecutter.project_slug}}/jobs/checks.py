"""System checks, which `manage.py check` runs."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.conf import settings
from django.core.checks import Error, register

from jobs import registry
from jobs.arguments import to_json
from ops.checks import has_threads, limit_in_thread, queue_exists


@register
def check_queues(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Report each kind whose queue does not exist. Its jobs would wait forever."""
    known = sorted(queue.name for queue in settings.CELERY_TASK_QUEUES)
    return [
        Error(
            f"job {kind.name}: no queue is called {kind.queue!r}",
            hint=f"The queues in CELERY_TASK_QUEUES are {', '.join(known)}.",
            id="jobs.E001",
        )
        for kind in registry.all_kinds()
        if not queue_exists(kind.queue)
    ]


@register
def check_lease(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Report a lease that is not shorter than the time limit: a dead worker's job would wait longer than a job may
    run.
    """
    if settings.JOBS_LEASE_SECONDS < settings.CELERY_TASK_TIME_LIMIT:
        return []
    hint = f"It must be less than CELERY_TASK_TIME_LIMIT, which is {settings.CELERY_TASK_TIME_LIMIT}."
    return [Error(f"JOBS_LEASE_SECONDS={settings.JOBS_LEASE_SECONDS} is too long", hint=hint, id="jobs.E002")]


@register
def check_time_limits(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Report each kind that may run longer than the broker waits: its message would be delivered again meanwhile."""
    longest = settings.MAX_TASK_TIME_LIMIT
    return [
        Error(
            f"job {kind.name}: a time limit of {kind.time_limit} seconds is too long",
            hint="The limit plus JOBS_TURN_SECONDS must be below MAX_TASK_TIME_LIMIT: "
            f"{settings.JOBS_TURN_SECONDS:g} and {longest:g} seconds.",
            id="jobs.E003",
        )
        for kind in registry.all_kinds()
        if kind.time_limit and kind.time_limit + settings.JOBS_TURN_SECONDS >= longest
    ]


@register
def check_threads(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Report each kind with a time limit whose jobs run in threads, because nothing can end a thread."""
    return [
        limit_in_thread(f"job {kind.name}", "jobs.E005")
        for kind in registry.all_kinds()
        if kind.time_limit and has_threads(kind.queue)
    ]


@register
def check_forms(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Report each form field whose value can't be kept as JSON. Only values that the code names are checked: the
    initial value, and the choices.
    """
    errors = []
    for kind in registry.submittable_kinds():
        for name, field in kind.form.base_fields.items() if kind.form else ():
            try:
                for value in _known_values(field):
                    to_json(value)
            except (TypeError, ValueError) as error:
                hint = "Arguments are JSON. The field must return a text, a number, or a type that docs/jobs.md lists."
                message = f"job {kind.name}: the value of the form's field {name!r} can't be kept as JSON: {error}"
                errors.append(Error(message, hint=hint, id="jobs.E004"))
    return errors


def _known_values(field: forms.Field) -> Iterator[Any]:
    """Yield the values that the field returns for its initial value and, if it converts choices, for each of them.

    Form fields that choose rows of a model are left out, because their choices are in the database and their values are
    primary keys. So are file fields, whose value is a name.
    """
    if isinstance(field, forms.ModelChoiceField | forms.FileField):
        return
    samples = [] if field.initial is None or callable(field.initial) else [field.initial]
    if isinstance(field, forms.TypedChoiceField | forms.TypedMultipleChoiceField) and isinstance(field.choices, list):
        keys = [key for key, label in field.choices if not isinstance(label, list | tuple)]
        samples += keys if isinstance(field, forms.TypedChoiceField) else [[key] for key in keys]
    for sample in samples:
        try:
            yield field.clean(sample)
        except Exception:  # noqa: S112  the form itself refuses this value when it is submitted
            continue
