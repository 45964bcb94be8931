"""Arguments sent to the REST API reach the function like those entered in a form: jobs/api/serializers.py,
jobs/api/schema.py.
"""

import pytest
import yaml
from django import forms

from jobs.api.views import JobViewSet
from jobs.executor import execute
from jobs.models import Job
from tests.jobs import fields
from tests.jobs.api.helpers import submit_json

ODD = [True, 7, 10**30, -1, 0.5, "x", "\u00e9" * 9, [], [[]], [{}], [None], ["x"], [True], {}, {"a": 1}]


@pytest.mark.django_db(transaction=True)
def test_every_field_of_a_form_becomes_an_argument(client, define, published):
    examples = fields.examples()
    calls = fields.define_kind(define, examples)
    body = {"kind": "keep", "arguments": fields.sent(examples), "idempotency_key": "1"}

    first, second = (submit_json(client, body) for _ in range(2))

    assert first.status_code == 202, first.json()
    assert first.json()["arguments"] == fields.received(examples)
    assert second.json()["id"] == first.json()["id"]
    execute(first.json()["id"])
    assert calls == [fields.received(examples)]


def test_what_a_job_received_can_be_sent_again(client, define):
    """So that a program can submit a job again. `named_row` is left out, because it is sent as a name and received as a
    primary key.
    """
    examples = fields.examples()
    del examples["named_row"]
    fields.define_kind(define, examples)

    response = submit_json(client, {"kind": "keep", "arguments": fields.received(examples)})

    assert response.status_code == 202, response.json()
    assert response.json()["arguments"] == fields.received(examples)


def test_an_odd_value_of_any_field_is_no_error_of_the_server(client, define, monkeypatch):
    monkeypatch.setattr(JobViewSet, "get_throttles", lambda view: [])
    examples = fields.examples()
    fields.define_kind(define, examples)
    good = fields.sent(examples)

    for name in examples:
        for value in ODD:
            response = submit_json(client, {"kind": "keep", "arguments": good | {name: value}})

            assert response.status_code in {202, 400}, (name, value)
            if response.status_code == 400:
                assert [*response.json()["arguments"]] == [name]


def test_an_error_names_the_types_that_the_field_takes(client, define):
    examples = fields.examples()
    fields.define_kind(define, examples)

    response = submit_json(client, {"kind": "keep", "arguments": dict.fromkeys(examples, True)})

    errors = response.json()["arguments"]
    assert errors["day"] == errors["key"] == errors["uuid_row"] == ["This must be a JSON string."]
    assert errors["price"] == ["This must be a JSON number or string."]
    assert errors["row"] == ["This must be a JSON integer."]
    assert errors["rows"] == ["This must be a JSON array of type integer."]
    assert not Job.objects.filter(kind="keep").exists()


def test_the_schema_has_the_types_of_all_fields(client, define):
    examples = fields.examples()
    fields.define_kind(define, examples)

    schemas = yaml.safe_load(client.get("/api/schema/").content)["components"]["schemas"]

    arguments = schemas["SubmitKeep"]["properties"]["arguments"]["properties"]
    assert arguments["day"] == {"type": "string", "format": "date"}
    assert arguments["moment"] == {"type": "string", "format": "date-time"}
    assert arguments["hour"] == {"type": "string"}
    assert arguments["pause"] == {"type": "string", "format": "duration"}
    assert arguments["key"] == {"type": "string", "format": "uuid"}
    assert arguments["row"] == {"type": "integer"}
    assert arguments["named_row"] == arguments["uuid_row"] == {"type": "string"}
    assert arguments["rows"] == {"type": "array", "items": {"type": "integer"}}
    assert arguments["choices"] == {"type": "array", "items": {}}
    number_or_text = [{"type": "number"}, {"type": "string", "format": "decimal"}]
    assert arguments["price"] == {"oneOf": number_or_text, "minimum": 0}
    assert arguments["no_row"] == {"type": "integer", "nullable": True}


def test_the_schema_of_a_model_field_without_a_queryset_takes_any_key(client, define):
    class LaterForm(forms.Form):
        row = forms.ModelChoiceField(None)

    @define(form=LaterForm)
    def later(row):
        pass

    schemas = yaml.safe_load(client.get("/api/schema/").content)["components"]["schemas"]

    assert schemas["SubmitLater"]["properties"]["arguments"]["properties"] == {"row": {}}
