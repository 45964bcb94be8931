"""What people enter in a form, or code passes to submit(), reaches the function as JSON: jobs/arguments.py."""

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy

from jobs import submit
from jobs.exceptions import IdempotencyConflict
from jobs.executor import execute
from jobs.models import Job
from tests.jobs import fields


@pytest.mark.django_db(transaction=True)
def test_every_field_of_a_form_becomes_an_argument(browser, define, published):
    examples = fields.examples()
    calls = fields.define_kind(define, examples)

    response = browser.post("/jobs/keep/", fields.entered(examples) | {"idempotency_key": str(uuid.uuid4())})

    assert response.status_code == 302, response.context["forms"]
    execute(str(Job.objects.get(kind="keep").pk))
    assert calls == [fields.received(examples)]
    assert browser.get("/jobs/").status_code == 200


@pytest.mark.django_db
def test_the_same_form_sent_twice_is_one_job_whatever_its_fields_are(browser, define):
    examples = fields.examples()
    fields.define_kind(define, examples)
    values = fields.entered(examples) | {"idempotency_key": str(uuid.uuid4())}

    assert [browser.post("/jobs/keep/", values).status_code for _ in range(2)] == [302, 302]
    assert Job.objects.filter(kind="keep").count() == 1
    assert browser.post("/jobs/keep/", values | {"day": "2026-03-01"}).status_code == 400


@pytest.mark.django_db
def test_submit_takes_the_types_that_form_fields_return(define):
    fields.define_kind(define, {})
    group = Group.objects.create(name="ada")
    arguments = {
        "price": Decimal("0.10"),
        "moment": datetime(2026, 2, 28, 9, 30, tzinfo=UTC),
        "pauses": (timedelta(seconds=1.5), None),
        "by_day": {"first": date(2026, 2, 28)},
        "groups": Group.objects.all(),
        "title": gettext_lazy("Jobs"),
    }

    jobs = [submit("keep", idempotency_key="1", **arguments) for _ in range(2)]

    assert jobs[0] == jobs[1]
    assert jobs[0].arguments == {
        "price": "0.10",
        "moment": "2026-02-28T09:30:00+00:00",
        "pauses": ["P0DT00H00M01.500000S", None],
        "by_day": {"first": "2026-02-28"},
        "groups": [group.pk],
        "title": "Jobs",
    }
    with pytest.raises(IdempotencyConflict):
        submit("keep", idempotency_key="1", **arguments | {"price": Decimal("0.11")})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (object(), TypeError, "object <object object at .*> is not JSON"),
        ([{1, 2}], TypeError, "set {1, 2} is not JSON"),
        (float("nan"), ValueError, "Out of range float values"),
        (Group(name="ada"), ValueError, "<Group: ada> has not been saved"),
    ],
    ids=["object", "set", "NaN", "unsaved"],
)
def test_a_value_that_a_row_cannot_keep_is_refused_with_the_name_of_its_argument(define, value, error, message):
    fields.define_kind(define, {})

    with pytest.raises(error, match=f"^job keep: argument when can't be kept as JSON: {message}"):
        submit("keep", when=value)

    assert not Job.objects.exists()
