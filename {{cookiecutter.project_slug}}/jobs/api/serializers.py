"""What the REST API accepts and returns."""

from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse
from rest_framework.settings import api_settings

from jobs import downloads, registry, submit
from jobs.api.parsers import parse_json
from jobs.api.schema import item_types, json_types
from jobs.exceptions import IdempotencyConflict
from jobs.models import Job

CSRF_FIELD = "csrfmiddlewaretoken"  # The forms of the browsable API contain it.


class ArgumentsField(serializers.JSONField):
    """A JSON object. In a multipart form it is a text that contains JSON."""

    default_error_messages = {"not_an_object": "This must be a JSON object."}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Return the object. Raises ValidationError."""
        if getattr(data, "is_json_string", False):
            try:
                data = parse_json(data or "{}")
            except ValueError:
                self.fail("invalid")
        if not isinstance(data, dict):
            self.fail("not_an_object")
        return data


class TextField(serializers.CharField):
    """A text. The base class also accepts numbers."""

    def to_internal_value(self, data: Any) -> str:
        """Return the text. Raises ValidationError."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class SubmissionSerializer(serializers.Serializer):
    """A job to submit. The kind's form validates the arguments, so that their limits are defined in one place."""

    multipart = False
    kind = TextField(max_length=100)
    arguments = ArgumentsField(default=dict, style={"base_template": "textarea.html"})
    idempotency_key = TextField(max_length=200, default="", allow_blank=True, trim_whitespace=False)

    def validate_kind(self, name: str) -> registry.Kind:
        """Return the kind with this name. Raises ValidationError if it does not exist or has no form."""
        kinds = {kind.name: kind for kind in registry.submittable_kinds()}
        if name not in kinds:
            raise serializers.ValidationError(f"There is no such kind. There are: {', '.join(kinds)}.")
        return kinds[name]

    def validate(self, submission: dict[str, Any]) -> dict[str, Any]:
        """Return the submission with the arguments as the form has cleaned them. Raises ValidationError."""
        files = self.context["request"].FILES
        form = submission["kind"].form(submission["arguments"], files)
        errors: dict[str, Any] = {"arguments": arguments} if (arguments := _argument_errors(form)) else {}
        for name in self.initial_data.keys() - self.fields.keys() - files.keys() - {CSRF_FIELD}:
            is_file = isinstance(form.fields.get(name), forms.FileField)
            errors[name] = ["This must be a file." if is_file else "Unexpected field."]
        if errors:
            raise serializers.ValidationError(errors)
        return submission | {"arguments": form.cleaned_data}

    def create(self, submission: dict[str, Any]) -> Job:
        """Submit the job. Raises ValidationError if its idempotency key belongs to another job."""
        kind, owner, key = submission["kind"].name, submission["owner"], submission["idempotency_key"]
        try:
            return submit(kind, owner=owner, idempotency_key=key, **submission["arguments"])
        except IdempotencyConflict:
            message = "This key belongs to a job of another kind or with other arguments."
            raise serializers.ValidationError({"idempotency_key": [message]}) from None


def _argument_errors(form: forms.Form) -> dict[str, list[str]]:
    """Return what is wrong with the arguments, by their names.

    This is stricter than the form, which ignores arguments that it does not know and takes "no" for true. Refused
    values are not passed to the form, because some fields expect text from a browser and crash on a list.
    """
    refused = {}
    for name, value in form.data.items():
        field = form.fields.get(name)
        if not field:
            refused[name] = ["Unexpected argument."]
        elif isinstance(field, forms.FileField):
            refused[name] = ["This is a file: send it in multipart/form-data, in a field of this name."]
        elif value is not None and not _has_type_of(field, value):
            refused[name] = [f"This must be a JSON {_described_type(field)}."]
    for name in form.files:
        if not isinstance(form.fields.get(name), forms.FileField):
            refused[name] = ["Unexpected file."]
    form.data = {name: value for name, value in form.data.items() if name not in refused}
    errors = {}
    for name, messages in form.errors.items():
        key = api_settings.NON_FIELD_ERRORS_KEY if name == NON_FIELD_ERRORS else name
        errors[key] = [str(message) for message in messages]
    return errors | refused


def _has_type_of(field: forms.Field, value: Any) -> bool:
    """Return whether the value, and each of its items if it is a list, has a JSON type that the field takes."""
    items = value if isinstance(value, list) else []
    return _has_json_type(value, json_types(field)) and all(_has_json_type(item, item_types(field)) for item in items)


def _described_type(field: forms.Field) -> str:
    items = " or ".join(item_types(field))
    return " or ".join(json_types(field)) + (f" of type {items}" if items else "")


def _has_json_type(value: Any, names: tuple[str, ...]) -> bool:
    return not names or any(_is_of_type(value, name) for name in names)


def _is_of_type(value: Any, name: str) -> bool:
    match name:
        case "integer":
            return type(value) is int or (type(value) is float and value.is_integer())
        case "number":
            return type(value) in {int, float}
        case "boolean":
            return type(value) is bool
        case "array":
            return type(value) is list
    return type(value) is str


class UploadSerializer(SubmissionSerializer):
    """The same for kinds that take files. Only jobs/api/schema.py treats the two differently."""

    multipart = True


class JobSerializer(serializers.ModelSerializer):
    """A job as its owner sees it."""

    url = serializers.HyperlinkedIdentityField(view_name="jobs_api:job-detail")
    arguments = serializers.DictField(read_only=True)
    percent = serializers.IntegerField(read_only=True, allow_null=True, min_value=0, max_value=100)
    download = serializers.SerializerMethodField(
        help_text="The address of the file that the job has written. Null until it has succeeded, or if it has none"
    )

    class Meta:
        model = Job
        fields = [
            *["id", "url", "kind", "arguments", "idempotency_key", "status"],
            *["attempts", "interruptions", "done", "total", "note", "percent"],
            *["result", "error", "download", "created_at", "started_at", "finished_at"],
        ]
        read_only_fields = fields

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_download(self, job: Job) -> str | None:
        """Return the address of the job's output."""
        if not downloads.download_filename(job):
            return None
        return reverse("jobs_api:job-download", [job.pk], request=self.context["request"])
