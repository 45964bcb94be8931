"""The REST API: jobs/api.py."""

import io
import json
from datetime import timedelta

import pytest
import yaml
from django import forms
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.utils import timezone
from PIL import Image
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from jobs import api, ledger, output, submit
from jobs.models import Job
from jobs.worker import work
from tests.waiting import wait_for

FIBONACCI = {"kind": "fibonacci", "arguments": {"n": 3}}


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    cache.clear()  # of the requests that other tests made


def user(name: str):
    return get_user_model().objects.create_user(name)


def client_of(owner) -> APIClient:
    """Return a client that sends the owner's token."""
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=owner)}")
    return client


@pytest.fixture
def ada(db):
    return user("ada")


@pytest.fixture
def client(ada):
    return client_of(ada)


def post(client, data):
    return client.post("/api/jobs/", data, format="json")


def picture(*size: int, format: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("L", size or (8, 8)).save(file, format)
    return file.getvalue()


def upload(client, content: bytes, name: str = "picture.jpg", **fields):
    return client.post("/api/jobs/", {"kind": "convert_image", "image": SimpleUploadedFile(name, content), **fields})


# --- Submitting ---------------------------------------------------------------------------------------------------


def test_a_submitted_job_has_an_address_which_says_how_it_ended(sweeping, client):
    answer = post(client, FIBONACCI)

    assert answer.status_code == 202
    job = answer.json()
    assert (job["kind"], job["arguments"], job["status"]) == ("fibonacci", {"n": 3}, "waiting")
    assert job["url"] == answer["Location"] == f"http://testserver/api/jobs/{job['id']}/"
    wait_for(lambda: client.get(job["url"]).json()["finished_at"], "the end of the job")
    job = client.get(job["url"]).json()
    assert (job["status"], job["result"], job["percent"], job["download"]) == ("succeeded", 2, 100, None)


def test_an_uploaded_picture_is_converted_and_can_be_downloaded(sweeping, client):
    job = upload(client, picture()).json()

    wait_for(lambda: client.get(job["url"]).json()["finished_at"], "the end of the job")

    job = client.get(job["url"]).json()
    assert (job["status"], job["result"]) == ("succeeded", {"width": 8, "height": 8})
    assert job["download"] == f"http://testserver/api/jobs/{job['id']}/download/"
    assert Image.open(io.BytesIO(client.get(job["download"]).getvalue())).format == "PNG"


def test_arguments_beside_a_file_may_be_empty(client):
    assert [upload(client, picture(), arguments=empty).status_code for empty in ("", "{}")] == [202, 202]


def test_a_file_that_a_failed_job_wrote_is_not_offered(client, ada, define):
    @define()
    def write():
        with output("half.txt") as file:
            file.write(b"half")

    job = submit("write", owner=ada)
    work(str(job.pk))
    Job.objects.filter(pk=job.pk).update(status="failed")

    assert client.get(f"/api/jobs/{job.pk}/").json()["download"] is None


def test_the_same_key_again_is_the_same_job(client):
    answers = [post(client, FIBONACCI | {"key": "order 7"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert Job.objects.count() == 1


def test_a_key_of_another_job_is_refused(client):
    post(client, FIBONACCI | {"key": "order 7"})

    answer = post(client, {"kind": "fibonacci", "arguments": {"n": 4}, "key": "order 7"})

    assert (answer.status_code, [*answer.json()]) == (400, ["key"])


def test_the_keys_of_two_people_are_theirs(client):
    first, second = post(client, FIBONACCI | {"key": "1"}), post(client_of(user("grace")), FIBONACCI | {"key": "1"})

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] != second.json()["id"]


# --- What is refused ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"kind": ["This field is required."]}),
        (
            {"kind": "nothing"},
            {"kind": ["There is no such kind. There are: add, build_report, convert_image, fibonacci, power."]},
        ),
        ({"kind": "in_code_only"}, "kind"),
        ({"kind": ["add"]}, "kind"),
        ({"kind": "fibonacci"}, {"arguments": {"n": ["This field is required."]}}),
        (
            {"kind": "fibonacci", "arguments": {"n": -1}},
            {"arguments": {"n": ["Ensure this value is greater than or equal to 0."]}},
        ),
        (
            {"kind": "fibonacci", "arguments": {"n": 36}},
            {"arguments": {"n": ["Ensure this value is less than or equal to 35."]}},
        ),
        ({"kind": "fibonacci", "arguments": {"n": "3"}}, {"arguments": {"n": ["This must be JSON's integer."]}}),
        ({"kind": "fibonacci", "arguments": {"n": 3.5}}, {"arguments": {"n": ["This must be JSON's integer."]}}),
        ({"kind": "fibonacci", "arguments": {"n": True}}, {"arguments": {"n": ["This must be JSON's integer."]}}),
        ({"kind": "fibonacci", "arguments": {"n": None}}, {"arguments": {"n": ["This field is required."]}}),
        ({"kind": "fibonacci", "arguments": {"n": 10**4000}}, "arguments"),
        ({"kind": "fibonacci", "arguments": {"n": 3, "m": 1}}, {"arguments": {"m": ["Unexpected argument."]}}),
        ({"kind": "fibonacci", "arguments": [3]}, {"arguments": ["This must be a JSON object."]}),
        (FIBONACCI | {"keys": "order 7"}, {"keys": ["Unexpected field."]}),
        (FIBONACCI | {"n": 3}, {"n": ["Unexpected field."]}),
        (FIBONACCI | {"key": "k" * 201}, {"key": ["Ensure this field has no more than 200 characters."]}),
        (FIBONACCI | {"key": 7}, {"key": ["Not a valid string."]}),
        (FIBONACCI | {"key": ["k"]}, {"key": ["Not a valid string."]}),
        (
            {"kind": "convert_image", "arguments": {"image": "jobs/of/somebody/else.jpg"}},
            {"arguments": {"image": ["This is a file: send it in multipart/form-data, in a field of this name."]}},
        ),
        ([FIBONACCI], "non_field_errors"),
        (None, "non_field_errors"),
    ],
)
def test_bad_input_is_refused_by_the_name_of_its_field(client, define, body, errors):
    @define()
    def in_code_only():
        pass

    answer = client.post("/api/jobs/", json.dumps(body), content_type="application/json")

    assert answer.status_code == 400
    assert errors in ([*answer.json()] if isinstance(errors, str) else [answer.json()])
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"kind": "fibonacci", "arguments": {"n": NaN}}',
        b'{"kind": "fibonacci", "arguments": {"n": 1e999}}',
        b'{"kind": "fibonacci", "arguments": {"n": ' + b"9" * 5000 + b"}}",
        b'{"kind": "fibonacci", "arguments": {"n": "\\u0000"}}',
        b'{"kind": "fibonacci", "arguments": {"\\ud800": 3}}',
        b'{"kind": "\\ud800"}',
        b'{"kind": "fibonacci", "arguments": {"n": 3}, "key": "\\u0000"}',
        b'{"kind": "fibonacci", "arguments": {"n": 3}, "key": "\\udfff"}',
        b'{"kind": "fibonacci", "arguments": {"n": ' + b"[" * 40 + b"]" * 40 + b"}}",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda body: body[:60].decode(errors="replace"),
)
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_json_that_no_database_takes_is_refused(client, body, accept):
    answer = client.post("/api/jobs/", body, content_type="application/json", HTTP_ACCEPT=accept)

    assert answer.status_code == 400
    assert not Job.objects.exists()


DEEP = json.loads("[" * 33 + "]" * 33)


@pytest.mark.parametrize("odd", ["\0", {"\0": 1}, ["\ud800"], {"\ud800": 1}, DEEP], ids=ascii)
def test_what_a_form_with_any_json_would_take_is_refused_all_the_same(client, define, odd):
    class AnyForm(forms.Form):
        value = forms.JSONField()

    @define(form=AnyForm)
    def keep(value):
        pass

    body = {"kind": "keep", "arguments": {"value": odd}}

    in_json = client.post("/api/jobs/", json.dumps(body), content_type="application/json")
    in_form = client.post("/api/jobs/", {"kind": "keep", "arguments": json.dumps(body["arguments"])})

    assert (in_json.status_code, in_form.status_code) == (400, 400)


@pytest.mark.parametrize("arguments", ["{", "[1]", '{"n": NaN}', "[" * 100_000, '{"n": "\\u0000"}', "\0"])
def test_arguments_beside_a_file_that_are_no_json_are_refused(client, arguments):
    answer = upload(client, picture(), arguments=arguments)

    assert (answer.status_code, [*answer.json()]) == (400, ["arguments"])


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "text/plain", "", "multipart/form-data", "multipart/form-data; boundary=é"],
)
def test_a_body_of_another_type_is_refused(client, content_type):
    answer = client.generic("POST", "/api/jobs/", b"kind=add", content_type=content_type)

    assert answer.status_code in {400, 415}


@pytest.mark.parametrize("charset", ["utf-16", "zlib", "rot13", "undefined"])
@pytest.mark.parametrize("media_type", ["application/json", "multipart/form-data; boundary=b"])
def test_an_odd_charset_is_no_error_of_the_server(client, media_type, charset):
    content_type = f"{media_type}; charset={charset}"

    answer = client.generic("POST", "/api/jobs/", json.dumps(FIBONACCI), content_type=content_type)

    assert answer.status_code == (202 if media_type == "application/json" else 400)


def bomb() -> bytes:
    """Return 300 bytes that say of themselves that they are 60,000 by 60,000 pixels."""
    before, size = b"\xff\xc0\x00\x0b\x08", (8).to_bytes(2)
    content = picture()
    assert before + size + size in content
    return content.replace(before + size + size, before + (60_000).to_bytes(2) * 2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.jpg", b"not a picture", "Upload a valid image"),
        ("png.jpg", picture(format="PNG"), "not a JPEG"),
        ("picture.png", picture(), "File extension “png” is not allowed"),
        ("cut.jpg", picture()[:40], "Upload a valid image"),
        ("empty.jpg", b"", "empty"),
        ("large.jpg", picture(5001, 5000), "pixels are too many"),
        ("bomb.jpg", bomb(), "Upload a valid image"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_no_picture_or_too_large_a_one_is_refused(client, name, content, message):
    answer = upload(client, content, name)

    assert answer.status_code == 400
    assert message in answer.json()["arguments"]["image"][0]
    assert default_storage.listdir("") == ([], [])


def test_files_that_the_kind_does_not_take_are_refused(client):
    answer = client.post("/api/jobs/", {"kind": "fibonacci", "n": SimpleUploadedFile("n", b"3")})
    assert answer.json() == {"arguments": {"n": ["Unexpected file."]}}

    answer = upload(client, picture(), second=SimpleUploadedFile("second.jpg", picture()))
    assert answer.json() == {"arguments": {"second": ["Unexpected file."]}}
    assert not Job.objects.exists()


def test_an_upload_of_ten_gigabytes_is_refused_by_its_length(client):
    answer = client.post("/api/jobs/", FIBONACCI, format="json", CONTENT_LENGTH=str(10 * 1024**3))

    assert answer.status_code == 413


def test_a_file_that_is_sent_as_text_is_refused(client):
    answer = client.post("/api/jobs/", {"kind": "convert_image", "image": "picture.jpg"})

    assert answer.status_code == 400
    assert answer.json()["image"] == ["This must be a file."]


def test_what_a_form_says_about_all_its_fields_has_a_name_too(client, define):
    class RangeForm(forms.Form):
        first = forms.IntegerField()
        last = forms.IntegerField()

        def clean(self):
            raise forms.ValidationError("The last is before the first.")

    @define(form=RangeForm)
    def walk(first, last):
        pass

    answer = post(client, {"kind": "walk", "arguments": {"first": 2, "last": 1}})

    assert answer.json() == {"arguments": {"non_field_errors": ["The last is before the first."]}}


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

    answer = post(client, {"kind": "greet", "arguments": arguments})

    assert answer.status_code == (400 if wrong else 202)
    if wrong:
        assert sorted(answer.json()["arguments"]) == wrong
    else:
        assert answer.json()["arguments"] == {"more": None} | arguments | {"loud": False}


# --- Watching and cancelling --------------------------------------------------------------------------------------


def test_the_list_is_filtered_and_has_pages(client, ada):
    for number in range(51):
        submit("add", x=number, y=0, owner=ada)
    failed = submit("fibonacci", n=3, owner=ada)
    Job.objects.filter(pk=failed.pk).update(status="failed", created_at=timezone.now() + timedelta(seconds=1))

    first, second = (client.get("/api/jobs/", {"page": page}).json() for page in (1, 2))
    found = [client.get(f"/api/jobs/?{query}").json() for query in ("status=failed", "kind=fibonacci", "kind=power")]

    assert (first["count"], len(first["results"]), len(second["results"])) == (52, 50, 2)
    assert len({job["id"] for job in first["results"] + second["results"]}) == 52
    assert first["results"][0]["id"] == str(failed.pk)
    assert [[job["id"] for job in page["results"]] for page in found] == [[str(failed.pk)], [str(failed.pk)], []]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("page=0", 404),
        ("page=x", 404),
        ("page=-1", 404),
        ("page=%00", 404),
        ("page=" + "9" * 5000, 404),
        ("status=lost", 400),
        ("status=%00", 400),
        ("kind=%00", 400),
        ("kind=%ED%A0%80", 200),
        ("%00=%00", 200),
        ("format=%00", 404),
    ],
)
def test_an_odd_query_is_no_error_of_the_server(client, query, status):
    assert client.get(f"/api/jobs/?{query}").status_code == status


def test_a_waiting_job_is_cancelled_once(client, ada):
    job = submit("add", x=4, y=5, owner=ada)

    first, second = (client.post(f"/api/jobs/{job.pk}/cancel/") for _ in range(2))

    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert (second.status_code, second.json()["detail"]) == (409, "This job has ended, it can't be cancelled any more.")


def test_a_running_job_is_asked_to_stop(client, ada):
    job = submit("add", x=4, y=5, owner=ada)
    ledger.claim(job.pk)

    answer = client.post(f"/api/jobs/{job.pk}/cancel/")

    assert (answer.status_code, answer.json()["status"]) == (200, "running")
    assert Job.objects.get(pk=job.pk).cancel_requested


def test_a_job_that_ends_while_it_is_being_cancelled_is_said_to_have_ended(client, ada, monkeypatch):
    job = submit("add", x=4, y=5, owner=ada)
    cancel = ledger.cancel

    def too_late(job):
        work(str(job.pk))
        return cancel(job)

    monkeypatch.setattr(ledger, "cancel", too_late)

    assert client.post(f"/api/jobs/{job.pk}/cancel/").status_code == 409


# --- Who may, and how often ---------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("get", "/api/"),
        ("get", "/api/jobs/"),
        ("post", "/api/jobs/"),
        ("get", "/api/jobs/00000000-0000-0000-0000-000000000000/"),
        ("post", "/api/jobs/00000000-0000-0000-0000-000000000000/cancel/"),
        ("get", "/api/schema/"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"HTTP_AUTHORIZATION": "Token wrong"}, {"HTTP_AUTHORIZATION": "Token \xff"}])
def test_who_does_not_say_who_it_is_gets_nothing(method, address, headers):
    answer = getattr(APIClient(), method)(address, **headers)

    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Token")


@pytest.mark.parametrize("name", ["1", "x" * 5000, "%00", "%FF", "0.5"])
def test_what_is_no_id_is_not_there(client, name):
    answer = client.get(f"/api/jobs/{name}/")

    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")


@pytest.mark.parametrize("staff", [False, True])
def test_the_jobs_of_others_are_not_there(client, ada, staff):
    grace = user("grace")
    get_user_model().objects.filter(pk=ada.pk).update(is_staff=staff, is_superuser=staff)
    for owner in (grace, None):
        job = submit("add", x=4, y=5, owner=owner)

        assert client.get(f"/api/jobs/{job.pk}/").status_code == 404
        assert client.post(f"/api/jobs/{job.pk}/cancel/").status_code == 404
        assert client.get(f"/api/jobs/{job.pk}/download/").status_code == 404
        assert Job.objects.get(pk=job.pk).status == "waiting"
    assert client.get("/api/jobs/").json()["count"] == 0


def test_a_session_needs_the_csrf_token(ada):
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(ada)

    assert client.get("/api/jobs/").status_code == 200
    assert post(client, FIBONACCI).status_code == 403


def test_who_submits_too_often_is_told_how_long_to_wait_and_the_others_are_not(client, monkeypatch):
    monkeypatch.setitem(api.SubmitThrottle.THROTTLE_RATES, "submit", "2/min")

    answers = [post(client, FIBONACCI) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert 0 < int(answers[2]["Retry-After"]) <= 60
    assert client.get("/api/jobs/").status_code == 200
    assert post(client_of(user("grace")), FIBONACCI).status_code == 202


@pytest.mark.parametrize("address", ["/api/jobs/", "/api/schema/"])
def test_who_asks_too_often_is_told_to_wait(client, monkeypatch, address):
    monkeypatch.setitem(api.UserThrottle.THROTTLE_RATES, "user", "1/min")

    assert [client.get(address).status_code for _ in range(2)] == [200, 429]


def test_a_cache_that_is_away_refuses_nobody(client, settings, caplog):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"}
    }

    assert post(client, FIBONACCI).status_code == 202
    assert "the cache does not answer" in caplog.text


# --- For people and generators ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
def test_a_browser_gets_pages(client, ada, method):
    job = submit("add", x=4, y=5, owner=ada)
    for address in ["/api/", "/api/jobs/", f"/api/jobs/{job.pk}/", f"/api/jobs/{job.pk}/cancel/"]:
        answer = client.generic(method, address, HTTP_ACCEPT="text/html")

        assert answer["Content-Type"].startswith("text/html")
        assert answer.status_code in {200, 400, 405, 415}


def test_the_form_on_the_page_submits(ada):
    client = APIClient()
    client.force_login(ada)
    fields = {"kind": "fibonacci", "arguments": '{"n": 3}', "key": "", "csrfmiddlewaretoken": "x"}

    answer = client.post("/api/jobs/", fields, HTTP_ACCEPT="text/html")

    assert answer.status_code == 202
    assert Job.objects.get().arguments == {"n": 3}


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
    assert schemas["SubmitConvertImage"]["properties"]["image"] == {"type": "string", "format": "binary"}
    body = schema["paths"]["/api/jobs/"]["post"]["requestBody"]
    assert body["required"]
    assert [*body["content"]] == ["application/json", "multipart/form-data"]
