"""The OpenAPI schema describes the API and the arguments of each kind: jobs/api/schema.py."""

import yaml
from django import forms
from django.core.management import call_command


def test_the_schema_is_valid_and_complete(capfd):
    call_command("spectacular", "--validate", "--fail-on-warn")

    assert capfd.readouterr().err == ""


def test_the_schema_says_what_each_kind_takes(client, define):
    class SumForm(forms.Form):
        x = forms.IntegerField(min_value=1, max_value=9, help_text="The first")
        note = forms.CharField(required=False, max_length=5)

    @define(form=SumForm)
    def add_some(x, note):
        """Add something."""

    schema = yaml.safe_load(client.get("/api/schema/?version=a%0Ab&lang=%00").content)

    schemas = schema["components"]["schemas"]
    assert schemas["SubmitAddSome"]["properties"]["arguments"] == {
        "type": "object",
        "properties": {
            "x": {"type": "integer", "minimum": 1, "maximum": 9, "description": "The first"},
            "note": {"type": "string", "maxLength": 5, "nullable": True},
        },
        "additionalProperties": False,
        "required": ["x"],
    }
    assert "idempotency_key" in schemas["SubmitAddSome"]["properties"]
    assert schemas["SubmitShout"]["properties"]["text"] == {"type": "string", "format": "binary"}
    body = schema["paths"]["/api/jobs/"]["post"]["requestBody"]
    assert body["required"]
    assert [*body["content"]] == ["application/json", "multipart/form-data"]
