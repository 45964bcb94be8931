"""The REST API refuses bad input, says what is wrong with it, and never fails because of it."""

import json

import pytest
from django import forms
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile

from jobs import registry
from jobs.models import Job
from tests.jobs.api.helpers import DOUBLE, submit_file, submit_json

NOT_AN_INTEGER = {"arguments": {"number": ["This must be a JSON integer."]}}


def test_the_error_of_an_unknown_kind_names_the_known_ones(client):
    response = submit_json(client, {"kind": "nothing"})

    kinds = ", ".join(kind.name for kind in registry.submittable_kinds())
    assert (response.status_code, response.json()) == (
        400,
        {"kind": [f"There is no such kind. There are: {kinds}."]},
    )
    assert "double" in kinds


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"kind": ["This field is required."]}),
        ({"kind": "nothing"}, "kind"),
        ({"kind": "in_code_only"}, "kind"),
        ({"kind": ["double"]}, "kind"),
        ({"kind": "double"}, {"arguments": {"number": ["This field is required."]}}),
        (
            {"kind": "double", "arguments": {"number": -1}},
            {"arguments": {"number": ["Ensure this value is greater than or equal to 0."]}},
        ),
        (
            {"kind": "double", "arguments": {"number": 36}},
            {"arguments": {"number": ["Ensure this value is less than or equal to 35."]}},
        ),
        ({"kind": "double", "arguments": {"number": "3"}}, NOT_AN_INTEGER),
        ({"kind": "double", "arguments": {"number": 3.5}}, NOT_AN_INTEGER),
        (
            {"kind": "double", "arguments": {"number": True}},
            NOT_AN_INTEGER,
        ),
        ({"kind": "double", "arguments": {"number": None}}, {"arguments": {"number": ["This field is required."]}}),
        ({"kind": "double", "arguments": {"number": 10**4000}}, "arguments"),
        ({"kind": "double", "arguments": {"number": 3, "m": 1}}, {"arguments": {"m": ["Unexpected argument."]}}),
        ({"kind": "double", "arguments": [3]}, {"arguments": ["This must be a JSON object."]}),
        (DOUBLE | {"key": "order 7"}, {"key": ["Unexpected field."]}),
        (DOUBLE | {"number": 3}, {"number": ["Unexpected field."]}),
        (
            DOUBLE | {"idempotency_key": "k" * 201},
            {"idempotency_key": ["Ensure this field has no more than 200 characters."]},
        ),
        (DOUBLE | {"idempotency_key": 7}, {"idempotency_key": ["Not a valid string."]}),
        (DOUBLE | {"idempotency_key": ["k"]}, {"idempotency_key": ["Not a valid string."]}),
        (
            {"kind": "shout", "arguments": {"text": "jobs/of/somebody/else.txt"}},
            {"arguments": {"text": ["This is a file: send it in multipart/form-data, in a field of this name."]}},
        ),
        ([DOUBLE], "non_field_errors"),
        (None, "non_field_errors"),
    ],
)
def test_the_error_of_bad_input_names_its_field(client, define, body, errors):
    @define()
    def in_code_only():
        pass

    response = client.post("/api/jobs/", json.dumps(body), content_type="application/json")

    assert response.status_code == 400
    assert errors in ([*response.json()] if isinstance(errors, str) else [response.json()])
    assert not Job.objects.exists()


# --- JSON ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"kind": "double", "arguments": {"number": NaN}}',
        b'{"kind": "double", "arguments": {"number": 1e999}}',
        b'{"kind": "double", "arguments": {"number": ' + b"9" * 5000 + b"}}",
        b'{"kind": "double", "arguments": {"number": "\\u0000"}}',
        b'{"kind": "double", "arguments": {"\\ud800": 3}}',
        b'{"kind": "\\ud800"}',
        b'{"kind": "double", "arguments": {"number": 3}, "idempotency_key": "\\u0000"}',
        b'{"kind": "double", "arguments": {"number": 3}, "idempotency_key": "\\udfff"}',
        b'{"kind": "double", "arguments": {"number": ' + b"[" * 40 + b"]" * 40 + b"}}",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda body: body[:60].decode(errors="replace"),
)
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_json_that_is_invalid_or_cannot_be_stored_is_refused(client, body, accept):
    response = client.post("/api/jobs/", body, content_type="application/json", HTTP_ACCEPT=accept)

    assert response.status_code == 400
    assert not Job.objects.exists()


DEEP = json.loads("[" * 33 + "]" * 33)


@pytest.mark.parametrize("unstorable", ["\0", {"\0": 1}, ["\ud800"], {"\ud800": 1}, DEEP], ids=ascii)
def test_json_that_cannot_be_stored_is_refused_even_if_the_form_takes_any_json(client, define, unstorable):
    class AnyForm(forms.Form):
        value = forms.JSONField()

    @define(form=AnyForm)
    def keep(value):
        pass

    body = {"kind": "keep", "arguments": {"value": unstorable}}

    in_json = client.post("/api/jobs/", json.dumps(body), content_type="application/json")
    in_form = client.post("/api/jobs/", {"kind": "keep", "arguments": json.dumps(body["arguments"])})

    assert (in_json.status_code, in_form.status_code) == (400, 400)


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "text/plain", "", "multipart/form-data", "multipart/form-data; boundary=é"],
)
def test_a_body_of_another_type_is_refused(client, content_type):
    response = client.generic("POST", "/api/jobs/", b"kind=double", content_type=content_type)

    assert response.status_code in {400, 415}


@pytest.mark.parametrize("charset", ["utf-16", "zlib", "rot13", "undefined"])
@pytest.mark.parametrize("media_type", ["application/json", "multipart/form-data; boundary=b"])
def test_an_unusual_charset_is_not_an_error_of_the_server(client, media_type, charset):
    content_type = f"{media_type}; charset={charset}"

    response = client.generic("POST", "/api/jobs/", json.dumps(DOUBLE), content_type=content_type)

    assert response.status_code == (202 if media_type == "application/json" else 400)


# --- Files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", ["{", "[1]", '{"n": NaN}', "[" * 100_000, '{"n": "\\u0000"}', "\0"])
def test_arguments_beside_a_file_that_are_not_json_are_refused(client, arguments):
    response = submit_file(client, arguments=arguments)

    assert (response.status_code, [*response.json()]) == (400, ["arguments"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("hello.exe", b"hello", "File extension “exe” is not allowed"), ("empty.txt", b"", "empty")],
)
def test_a_file_that_the_form_refuses_is_not_saved(client, name, content, message):
    response = submit_file(client, content, name)

    assert response.status_code == 400
    assert message in response.json()["arguments"]["text"][0]
    assert not default_storage.exists("jobs")
    assert not Job.objects.exists()


def test_files_that_the_kind_does_not_take_are_refused(client):
    response = client.post("/api/jobs/", {"kind": "double", "number": SimpleUploadedFile("number", b"3")})
    assert response.json() == {"arguments": {"number": ["Unexpected file."]}}

    response = submit_file(client, second=SimpleUploadedFile("second.txt", b"hello"))
    assert response.json() == {"arguments": {"second": ["Unexpected file."]}}
    assert not Job.objects.exists()


def test_a_file_that_is_sent_as_text_is_refused(client):
    response = client.post("/api/jobs/", {"kind": "shout", "text": "hello.txt"})

    assert response.status_code == 400
    assert response.json()["text"] == ["This must be a file."]


def test_an_upload_of_ten_gigabytes_is_refused_by_its_length(client):
    response = client.post("/api/jobs/", DOUBLE, format="json", CONTENT_LENGTH=str(10 * 1024**3))

    assert response.status_code == 413


# --- Arguments and the form of the kind ---------------------------------------------------------------------------


def test_errors_of_the_whole_form_are_named_non_field_errors(client, define):
    class RangeForm(forms.Form):
        first = forms.IntegerField()
        last = forms.IntegerField()

        def clean(self):
            raise forms.ValidationError("The last is before the first.")

    @define(form=RangeForm)
    def walk(first, last):
        pass

    response = submit_json(client, {"kind": "walk", "arguments": {"first": 2, "last": 1}})

    assert response.json() == {"arguments": {"non_field_errors": ["The last is before the first."]}}


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({"name": "Ada", "loud": False, "size": 1.5}, []),
        ({"name": "Ada", "loud": None, "size": 2, "more": {"any": ["thing"]}}, []),
        ({"name": {}, "loud": "no", "size": "1"}, ["loud", "name", "size"]),
        ({"name": "Ada", "size": True}, ["size"]),
    ],
)
def test_an_argument_has_the_type_that_the_schema_says(client, define, arguments, wrong):
    class GreetForm(forms.Form):
        name = forms.CharField()
        loud = forms.BooleanField(required=False)
        size = forms.FloatField()
        more = forms.JSONField(required=False)

    @define(form=GreetForm)
    def greet(name, loud, size, more):
        pass

    response = submit_json(client, {"kind": "greet", "arguments": arguments})

    assert response.status_code == (400 if wrong else 202)
    if wrong:
        assert sorted(response.json()["arguments"]) == wrong
    else:
        assert response.json()["arguments"] == {"more": None} | arguments | {"loud": False}
