"""How the arguments of each kind are described in the API's schema (/api/schema/): read from the kinds' forms."""

from django import forms
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.plumbing import ResolvedComponent

from jobs import registry


def json_type(field: forms.Field) -> str | None:
    """Return JSON's type for values of this field of a form; None for any."""
    for classes, name in [
        (forms.JSONField, None),
        ((forms.FloatField, forms.DecimalField), "number"),  # before IntegerField: they are such ones, too
        (forms.IntegerField, "integer"),
        (forms.BooleanField, "boolean"),
        (forms.CharField, "string"),
    ]:
        if isinstance(field, classes):
            return name
    return None


def described(field: forms.Field) -> dict:
    """Return the OpenAPI schema of one argument."""
    if isinstance(field, forms.FileField):
        return {"type": "string", "format": "binary"}
    schema = {
        "type": json_type(field),
        "minimum": getattr(field, "min_value", None),
        "maximum": getattr(field, "max_value", None),
        "minLength": getattr(field, "min_length", None),
        "maxLength": getattr(field, "max_length", None),
        "nullable": not field.required or None,
        "description": str(field.help_text) or None,
    }
    return {name: value for name, value in schema.items() if value is not None}


def body_of(kind: registry.Kind) -> dict:
    """Return the OpenAPI schema of a request that submits a job of this kind."""
    fields = kind.form.base_fields
    files = {name: field for name, field in fields.items() if isinstance(field, forms.FileField)}
    values = {name: field for name, field in fields.items() if name not in files}
    key = {"type": "string", "maxLength": 200, "description": "The same key again is the same job"}
    properties = {"kind": {"type": "string", "enum": [kind.name]}, "key": key}
    required = ["kind"]
    if values:
        properties["arguments"] = _object({name: described(field) for name, field in values.items()}, _required(values))
    if _required(values):
        required.append("arguments")
    properties |= {name: described(field) for name, field in files.items()}
    return {"description": kind.description, **_object(properties, required + _required(files))}


def _required(fields: dict) -> list[str]:
    return [name for name, field in fields.items() if field.required]


def _object(properties: dict, required: list[str]) -> dict:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": required} if required else {})


class SubmissionDescription(OpenApiSerializerExtension):
    """Describes the body of POST /api/jobs/: one schema a kind, where drf-spectacular would see an object with anything
    in it. Kinds with files are multipart forms.
    """

    target_class = "jobs.api.SubmissionSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema, direction):
        refs = {}
        for kind in registry.offered():
            if kind.form().is_multipart() == self.target.multipart:
                name = "Submit" + kind.name.title().replace("_", "")
                body = ResolvedComponent(name, ResolvedComponent.SCHEMA, body_of(kind), object=kind.name)
                auto_schema.registry.register_on_missing(body)
                refs[kind.name] = body.ref
        mapping = {name: ref["$ref"] for name, ref in refs.items()}
        schema = {"oneOf": [*refs.values()], "discriminator": {"propertyName": "kind", "mapping": mapping}}
        return schema | {"required": ["kind"]} if refs else {}
