"""The arguments of a job as JSON, because the row keeps them and the function gets them from there."""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet
from django.utils.duration import duration_iso_string
from django.utils.functional import Promise


def to_json(value: Any) -> Any:
    """Return the JSON value that a job keeps for an argument: for a date its ISO text, for a model its primary key.

    The table in docs/jobs.md has all types. JSON values stay as they are.

    Raises:
        TypeError: The value can't be written as JSON, for example because it is an object of a class of the project.
        ValueError: A float is infinite or NaN, a list contains itself, or a model has not been saved.
    """
    return json.loads(json.dumps(value, default=_to_basic, allow_nan=False))


def _to_basic(value: Any) -> Any:
    """Return something simpler in the place of what json.dumps() does not know."""
    match value:
        case Model(pk=None):
            raise ValueError(f"{value!r} has not been saved")
        case Model():
            return value.pk
        case QuerySet():
            return [row.pk for row in value]
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return duration_iso_string(value)
        case Decimal() | UUID() | Promise():
            return str(value)
        case Enum():
            return value.value
    raise TypeError(f"{type(value).__name__} {value!r} is not JSON")
