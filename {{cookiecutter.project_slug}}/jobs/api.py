"""The REST API, at /api/: submit jobs, watch them, cancel them. Everybody sees their own jobs only."""

import logging

from django import forms
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_field
from drf_spectacular.views import SpectacularAPIView
from redis.exceptions import RedisError
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.routers import DefaultRouter
from rest_framework.settings import api_settings
from rest_framework.throttling import UserRateThrottle
from rest_framework.utils import json
from rest_framework.viewsets import GenericViewSet

from jobs import downloads, ledger, openapi, registry, submit
from jobs.models import Job

logger = logging.getLogger(__name__)

MAX_DEPTH = 32  # of lists and objects in each other
CSRF_FIELD = "csrfmiddlewaretoken"  # the browsable API's forms bring it


# --- What comes in ------------------------------------------------------------------------------------------------


def read_json(text: str):
    """Return the value of a JSON text. Raises ValueError, also for what is JSON and no database or terminal takes: NUL,
    halves of surrogate pairs, NaN, lists in lists in lists.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _refuse_odd(value)
    return value


def _refuse_odd(value, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a text in it contains NUL")
        value.encode()
    elif isinstance(value, list):
        for item in value:
            _refuse_odd(item, depth + 1)
    elif isinstance(value, dict):
        for item in [*value.keys(), *value.values()]:
            _refuse_odd(item, depth + 1)


class StrictJSONParser(JSONParser):
    """JSON is UTF-8, whatever charset the Content-Type names. Raises ParseError (400) where read_json refuses."""

    def parse(self, stream, media_type=None, parser_context=None):
        try:
            return read_json(stream.read().decode())
        except ValueError as error:
            raise ParseError(f"JSON parse error: {error}") from None


class ArgumentsField(serializers.JSONField):
    """An object: as JSON, or as a text with JSON in a multipart form."""

    default_error_messages = {"not_an_object": "This must be a JSON object."}

    def to_internal_value(self, data):
        if getattr(data, "is_json_string", False):
            try:
                data = read_json(data or "{}")
            except ValueError:
                self.fail("invalid")
        if not isinstance(data, dict):
            self.fail("not_an_object")
        return data


class TextField(serializers.CharField):
    """Text; the base class takes numbers, too."""

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class SubmissionSerializer(serializers.Serializer):
    """A job that somebody wants. The kind's form checks the arguments: it is the one place of their limits."""

    multipart = False
    kind = TextField(max_length=100)
    arguments = ArgumentsField(default=dict, style={"base_template": "textarea.html"})
    key = TextField(max_length=200, default="", allow_blank=True, trim_whitespace=False)

    def validate_kind(self, name):
        kinds = {kind.name: kind for kind in registry.offered()}
        if name not in kinds:
            raise serializers.ValidationError(f"There is no such kind. There are: {', '.join(kinds)}.")
        return kinds[name]

    def validate(self, submission):
        files = self.context["request"].FILES
        form = submission["kind"].form(submission["arguments"], files)
        errors = {"arguments": arguments} if (arguments := _errors_of(form)) else {}
        for name in self.initial_data.keys() - self.fields.keys() - files.keys() - {CSRF_FIELD}:
            is_file = isinstance(form.fields.get(name), forms.FileField)
            errors[name] = ["This must be a file." if is_file else "Unexpected field."]
        if errors:
            raise serializers.ValidationError(errors)
        return submission | {"arguments": form.cleaned_data}

    def create(self, submission):
        """Submit the job. Raises ValidationError if its key is another job's."""
        kind, owner, key = submission["kind"].name, submission["owner"], submission["key"]
        try:
            return submit(kind, owner=owner, key=key, **submission["arguments"])
        except ledger.KeyTaken:
            message = "This key belongs to a job of another kind or with other arguments."
            raise serializers.ValidationError({"key": [message]}) from None


def _errors_of(form: forms.Form) -> dict:
    """Return what is wrong with the arguments, by name. More than the form says: it ignores what it does not know, and
    takes "no" for true.
    """
    errors = {}
    for name, messages in form.errors.items():
        errors[api_settings.NON_FIELD_ERRORS_KEY if name == forms.forms.NON_FIELD_ERRORS else name] = list(messages)
    for name, value in form.data.items():
        field = form.fields.get(name)
        if not field:
            errors[name] = ["Unexpected argument."]
        elif isinstance(field, forms.FileField):
            errors[name] = ["This is a file: send it in multipart/form-data, in a field of this name."]
        elif value is not None and not _is(value, openapi.json_type(field)):
            errors[name] = [f"This must be JSON's {openapi.json_type(field)}."]
    for name in form.files:
        if not isinstance(form.fields.get(name), forms.FileField):
            errors[name] = ["Unexpected file."]
    return errors


def _is(value, json_type: str | None) -> bool:
    match json_type:
        case "integer":
            return type(value) is int or (type(value) is float and value.is_integer())
        case "number":
            return type(value) in {int, float}
        case "boolean":
            return type(value) is bool
        case "string":
            return type(value) is str
    return True


class UploadSerializer(SubmissionSerializer):
    """The same with files. Only jobs/openapi.py makes a difference."""

    multipart = True


class ErrorSerializer(serializers.Serializer):
    detail = serializers.CharField(read_only=True)


INVALID = OpenApiResponse({"type": "object"}, "What is wrong, by the name of the field")
ERRORS = {
    401: OpenApiResponse(ErrorSerializer, "No token and no session, or wrong ones"),
    429: OpenApiResponse(ErrorSerializer, "Too many requests: Retry-After says for how many seconds to wait"),
}
ID = OpenApiParameter("id", OpenApiTypes.UUID, "path")
NOT_FOUND = {404: OpenApiResponse(ErrorSerializer, "There is none, or it is somebody else's")}


# --- What goes out ------------------------------------------------------------------------------------------------


class JobSerializer(serializers.ModelSerializer):
    url = serializers.HyperlinkedIdentityField(view_name="api:job-detail")
    arguments = serializers.DictField(read_only=True)
    percent = serializers.IntegerField(read_only=True, allow_null=True, min_value=0, max_value=100)
    download = serializers.SerializerMethodField(help_text="Where its file is, if it has succeeded and has one")

    class Meta:
        model = Job
        fields = [
            *["id", "url", "kind", "arguments", "key", "status", "attempts", "done", "total", "note", "percent"],
            *["result", "error", "download", "created_at", "started_at", "finished_at"],
        ]
        read_only_fields = fields

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_download(self, job):
        if not downloads.name_of(job):
            return None
        return reverse("api:job-download", [job.pk], request=self.context["request"])


# --- Views --------------------------------------------------------------------------------------------------------


class UserThrottle(UserRateThrottle):
    """Counts a user's requests in the cache. While that is away nobody is refused: jobs go on without it."""

    def allow_request(self, request, view):
        try:
            return super().allow_request(request, view)
        except (RedisError, OSError) as error:
            logger.warning("the cache does not answer, requests are not counted: %r", error)
            return True


class SubmitThrottle(UserThrottle):
    """Counts the jobs that a user submits."""

    scope = "submit"


class Finished(APIException):
    """There is nothing to cancel."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "This job has ended, it can't be cancelled any more."
    default_code = "finished"


class JobViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet):
    """Jobs: pieces of work, done in the background."""

    queryset = Job.objects.order_by("-created_at", "pk")
    serializer_class = JobSerializer
    parser_classes = [StrictJSONParser, MultiPartParser]
    filterset_fields = ["status", "kind"]
    lookup_value_regex = "[^/]+"  # what can't be an id is answered here, too: as JSON

    def get_queryset(self):
        return self.queryset.filter(owner=self.request.user)

    def get_serializer_class(self):
        return SubmissionSerializer if self.action == "create" else JobSerializer

    def get_throttles(self):
        return [UserThrottle(), *([SubmitThrottle()] if self.action == "create" else [])]

    @extend_schema(responses={200: JobSerializer(many=True), 400: INVALID, **NOT_FOUND, **ERRORS})
    def list(self, request):
        """Your jobs, the newest first."""
        return super().list(request)

    @extend_schema(parameters=[ID], responses={200: JobSerializer, **NOT_FOUND, **ERRORS})
    def retrieve(self, request, pk):
        """One job: how far it is, and its result."""
        return super().retrieve(request, pk)

    @extend_schema(
        request={"application/json": SubmissionSerializer, "multipart/form-data": UploadSerializer},
        parameters=[OpenApiParameter("Location", str, "header", response=[202], description="The job's address")],
        responses={
            202: OpenApiResponse(JobSerializer, "It is written down, and a worker will take it"),
            400: INVALID,
            413: OpenApiResponse(description="The body is too large"),
            415: OpenApiResponse(ErrorSerializer, "The body is neither JSON nor a multipart form"),
            **ERRORS,
        },
    )
    def create(self, request):
        """Submit a job. Its kind says which arguments it takes; files are fields of a multipart form."""
        submission = self.get_serializer(data=request.data)
        submission.is_valid(raise_exception=True)
        job = JobSerializer(submission.save(owner=request.user), context=self.get_serializer_context()).data
        return Response(job, status.HTTP_202_ACCEPTED, headers={"Location": str(job["url"])})

    @extend_schema(
        parameters=[ID],
        request=None,
        responses={200: JobSerializer, 409: OpenApiResponse(ErrorSerializer, "It has ended"), **NOT_FOUND, **ERRORS},
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request, pk):
        """Cancel a job that waits; ask one that runs to stop, which it does as soon as it says how far it is."""
        job = self.get_object()
        if job.finished:
            raise Finished
        job = ledger.cancel(job)
        if job.finished and job.status != Job.Status.CANCELLED:  # it ended just now
            raise Finished
        return Response(self.get_serializer(job).data)

    @extend_schema(
        parameters=[ID],
        responses={(200, "*/*"): OpenApiTypes.BINARY, **NOT_FOUND, **ERRORS},
    )
    @action(detail=True)
    def download(self, request, pk):
        """The file that the job has written. 404 until it has succeeded, and if it writes none."""
        return downloads.send(self.get_object())


class SchemaView(SpectacularAPIView):
    """This API in OpenAPI's words; `?format=json` for JSON."""

    throttle_classes = [UserThrottle]

    @extend_schema(exclude=True)
    def get(self, request):
        # The base class would put parameters of the address into a header.
        return Response(self.generator_class().get_schema(request=request, public=True))


app_name = "api"
router = DefaultRouter()
router.include_format_suffixes = False
router.register("jobs", JobViewSet)
urlpatterns = [*router.urls, path("schema/", SchemaView.as_view(), name="schema")]
