"""The OpenAPI schema at /api/schema/: the responses, and one request for each kind, which is read from its form."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms
from django.db import models
from django.forms.fields import BaseTemporalField
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from jobs import registry


class ErrorSerializer(serializers.Serializer):
    """The body of an error response."""

    detail = serializers.CharField(read_only=True)


JOB_ID = OpenApiParameter("id", OpenApiTypes.UUID, "path")
LOCATION = OpenApiParameter("Location", str, "header", response=[202], description="The address of the job")

INVALID = {400: OpenApiResponse({"type": "object"}, "The errors of each field. If the body can't be read: `detail`")}
COMMON_ERRORS = {
    401: OpenApiResponse(ErrorSerializer, "The request has no valid token and no valid session"),
    429: OpenApiResponse(ErrorSerializer, "Too many requests. Retry-After says how many seconds to wait"),
}
NOT_FOUND = {404: OpenApiResponse(ErrorSerializer, "The job does not exist, or it belongs to somebody else")}
ALREADY_FINISHED = {409: OpenApiResponse(ErrorSerializer, "The job has finished")}
BODY_REFUSED = {
    413: OpenApiResponse(description="The body is too large"),
    415: OpenApiResponse(ErrorSerializer, "The body is neither JSON nor a multipart form"),
}


def json_types(field: forms.Field) -> tuple[str, ...]:
    """Return the JSON types that this form field takes. Empty if it takes every type."""
    for classes, names in [
        (forms.JSONField, ()),
        (forms.DecimalField, ("number", "string")),  # before its base class IntegerField; a string keeps all digits
        (forms.FloatField, ("number",)),  # before its base class IntegerField
        (forms.IntegerField, ("integer",)),
        (forms.BooleanField, ("boolean",)),
        (forms.MultipleChoiceField | forms.ModelMultipleChoiceField, ("array",)),  # before ModelChoiceField
        (forms.ModelChoiceField, _key_types(field)),
        (forms.CharField | BaseTemporalField | forms.DurationField, ("string",)),
    ]:
        if isinstance(field, classes):
            return names
    return ()


def item_types(field: forms.Field) -> tuple[str, ...]:
    """Return the JSON types that the items of this form field take, if it takes an array. Empty if every type is
    allowed.
    """
    return _key_types(field) if isinstance(field, forms.ModelMultipleChoiceField) else ()


def _key_types(field: forms.Field) -> tuple[str, ...]:
    """Return the JSON types of the keys by which a model choice field selects rows. Empty if it has no queryset."""
    queryset = getattr(field, "queryset", None)
    if queryset is None:  # some forms set the queryset in __init__
        return ()
    name = getattr(field, "to_field_name", None) or queryset.model._meta.pk.name
    return ("integer",) if isinstance(queryset.model._meta.get_field(name), models.IntegerField) else ("string",)


FORMATS = {
    forms.DateField: "date",
    forms.DateTimeField: "date-time",
    forms.DurationField: "duration",
    forms.UUIDField: "uuid",
    forms.DecimalField: "decimal",
}


def argument_schema(field: forms.Field) -> dict[str, Any]:
    """Return the OpenAPI schema of one argument."""
    if isinstance(field, forms.FileField):
        return {"type": "string", "format": "binary"}
    types, format_ = json_types(field), next((FORMATS[base] for base in FORMATS if isinstance(field, base)), None)
    schema = {
        **_type_schema(types, format_),
        "items": _type_schema(item_types(field)) if "array" in types else None,
        "minimum": _limit(field, "min_value"),
        "maximum": _limit(field, "max_value"),
        "minLength": getattr(field, "min_length", None),
        "maxLength": getattr(field, "max_length", None),
        "nullable": not field.required or None,
        "description": str(field.help_text) or None,
    }
    return {name: value for name, value in schema.items() if value is not None}


def _type_schema(types: tuple[str, ...], format_: str | None = None) -> dict[str, Any]:
    """Return the schema of these types. Only texts have the format."""
    schemas = [{"type": name} | ({"format": format_} if format_ and name == "string" else {}) for name in types]
    return {"oneOf": schemas} if len(schemas) > 1 else {**schemas[0]} if schemas else {}


def _limit(field: forms.Field, name: str) -> Any:
    """Return a limit of the field as a JSON number, or None."""
    limit = getattr(field, name, None)
    return float(limit) if isinstance(limit, Decimal) else limit


def request_schema(kind: registry.Kind) -> dict[str, Any]:
    """Return the OpenAPI schema of a request that submits a job of this kind, which must have a form."""
    fields = kind.form.base_fields if kind.form else {}
    files = {name: field for name, field in fields.items() if isinstance(field, forms.FileField)}
    values = {name: field for name, field in fields.items() if name not in files}
    properties: dict[str, Any] = {
        "kind": {"type": "string", "enum": [kind.name]},
        "idempotency_key": {
            "type": "string",
            "maxLength": 200,
            "description": "Sending the same key again returns the same job",
        },
    }
    required = ["kind"]
    if values:
        arguments = {name: argument_schema(field) for name, field in values.items()}
        properties["arguments"] = _object_schema(arguments, _required(values))
    if _required(values):
        required.append("arguments")
    properties |= {name: argument_schema(field) for name, field in files.items()}
    return {"description": kind.description, **_object_schema(properties, required + _required(files))}


def _required(fields: Mapping[str, forms.Field]) -> list[str]:
    return [name for name, field in fields.items() if field.required]


def _object_schema(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": required} if required else {})


class SubmissionSerializerExtension(OpenApiSerializerExtension):
    """Describes the body of POST /api/jobs/ with one schema for each kind.

    By itself, drf-spectacular would describe the arguments as an object with any content. Kinds that take files are
    described as multipart forms, the others as JSON.
    """

    target_class = "jobs.api.serializers.SubmissionSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        """Return the schema of the serializer. It refers to one component for each kind."""
        refs = {}
        for kind in registry.submittable_kinds():
            if kind.form and kind.form().is_multipart() == self.target.multipart:
                name = "Submit" + kind.name.title().replace("_", "")
                body = ResolvedComponent(name, ResolvedComponent.SCHEMA, request_schema(kind), object=kind.name)
                auto_schema.registry.register_on_missing(body)
                refs[kind.name] = body.ref
        mapping = {name: ref["$ref"] for name, ref in refs.items()}
        schema = {"oneOf": [*refs.values()], "discriminator": {"propertyName": "kind", "mapping": mapping}}
        return schema | {"required": ["kind"]} if refs else {}
