"""A form with fields of all types, what people enter, what programs send, and what the function receives."""

import enum
from typing import Any, NamedTuple
from uuid import UUID

from django import forms
from django.contrib.auth.models import Group

from jobs.models import Job

KEY = UUID("6f1e1b5e-9c0a-4c3f-8d2b-7a6c5e4f3d2b")


class Size(enum.Enum):
    SMALL = 1
    LARGE = 2


class Example(NamedTuple):
    """One field and its values. `sent` (by a program) and `received` (by the function) default to `entered` (by a
    person).
    """

    field: forms.Field
    entered: Any
    sent: Any = ...
    received: Any = ...


def examples() -> dict[str, Example]:
    """Return an example for each type of field, by a name for it. Also writes the rows that the model fields offer as
    choices.
    """
    ada, grace = (Group.objects.create(name=name) for name in ("ada", "grace"))
    job = Job.objects.create(kind="multiply")
    return {
        "text": Example(forms.CharField(), "Zoë"),
        "integer": Example(forms.IntegerField(), "3", 3, 3),
        "fraction": Example(forms.FloatField(), "1.5", 1.5, 1.5),
        "yes": Example(forms.BooleanField(), "on", True, True),
        "maybe": Example(forms.NullBooleanField(), "true", True, True),
        "thing": Example(forms.JSONField(), '{"a": [1]}', {"a": [1]}, {"a": [1]}),
        "price": Example(forms.DecimalField(min_value=0, max_digits=20, decimal_places=2), "12345678901234567.10"),
        "weight": Example(forms.DecimalField(), "1.5", 1.5, "1.5"),
        "day": Example(forms.DateField(), "2026-02-28"),
        "moment": Example(
            forms.DateTimeField(), "2026-02-28 09:30", "2026-02-28T09:30:00Z", "2026-02-28T09:30:00+00:00"
        ),
        "hour": Example(forms.TimeField(), "09:30", ..., "09:30:00"),
        "pause": Example(forms.DurationField(), "1 02:03:04", "P1DT02H03M04S", "P1DT02H03M04S"),
        "key": Example(forms.UUIDField(), KEY.hex, ..., str(KEY)),
        "choice": Example(forms.ChoiceField(choices=[("a", "A"), ("b", "B")]), "b"),
        "typed": Example(
            forms.TypedChoiceField(choices=[("1", "S"), ("2", "L")], coerce=lambda key: Size(int(key))), "2", ..., 2
        ),
        "choices": Example(forms.MultipleChoiceField(choices=[("a", "A"), ("b", "B")]), ["a", "b"]),
        "numbers": Example(
            forms.TypedMultipleChoiceField(choices=[("1", "I"), ("2", "II")], coerce=int), ["1", "2"], ..., [1, 2]
        ),
        "row": Example(forms.ModelChoiceField(Group.objects), str(ada.pk), ada.pk, ada.pk),
        "named_row": Example(forms.ModelChoiceField(Group.objects, to_field_name="name"), "ada", ..., ada.pk),
        "uuid_row": Example(forms.ModelChoiceField(Job.objects), str(job.pk)),
        "rows": Example(
            forms.ModelMultipleChoiceField(Group.objects.order_by("name")),
            [str(grace.pk), str(ada.pk)],
            [grace.pk, ada.pk],
            [ada.pk, grace.pk],
        ),
        "nothing": Example(forms.DateField(required=False), "", None, None),
        "no_row": Example(forms.ModelChoiceField(Group.objects, required=False), "", None, None),
        "no_rows": Example(forms.ModelMultipleChoiceField(Group.objects, required=False), [], [], []),
    }


def entered(cases: dict[str, Example]) -> dict[str, Any]:
    """Return what a browser sends."""
    return {name: case.entered for name, case in cases.items()}


def sent(cases: dict[str, Example]) -> dict[str, Any]:
    """Return what a program sends."""
    return {name: case.entered if case.sent is ... else case.sent for name, case in cases.items()}


def received(cases: dict[str, Example]) -> dict[str, Any]:
    """Return what the function receives."""
    return {name: case.entered if case.received is ... else case.received for name, case in cases.items()}


def define_kind(define, cases: dict[str, Example]) -> list[dict[str, Any]]:
    """Define the kind `keep`, whose form has these fields. Returns a list to which each call adds its arguments."""
    calls: list[dict[str, Any]] = []
    form = type("KeepForm", (forms.Form,), {name: case.field for name, case in cases.items()})

    @define(form=form)
    def keep(**arguments: Any) -> None:
        calls.append(arguments)

    return calls
