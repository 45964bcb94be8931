"""The views of the REST API."""

from collections.abc import Sequence

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.viewsets import GenericViewSet

from jobs import downloads, lifecycle
from jobs.api import schema
from jobs.api.parsers import StrictJSONParser
from jobs.api.serializers import JobSerializer, SubmissionSerializer, UploadSerializer
from jobs.api.throttling import SubmitThrottle, UserThrottle
from jobs.models import Job


class AlreadyFinished(APIException):
    """The job cannot be cancelled, because it has finished."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "This job has finished, so it can't be cancelled."
    default_code = "finished"


class JobViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet):
    """Jobs: pieces of work that are done in the background."""

    queryset = Job.objects.order_by("-created_at", "pk")
    serializer_class = JobSerializer
    parser_classes = [StrictJSONParser, MultiPartParser]
    filterset_fields = ["status", "kind"]
    # Accept any text as an id, so that the API itself answers 404 as JSON for a text that is not a UUID.
    lookup_value_regex = "[^/]+"

    def get_queryset(self) -> QuerySet[Job]:
        """Return the user's own jobs."""
        return self.queryset.filter(owner=self.request.user)

    def get_serializer_class(self) -> type[serializers.BaseSerializer]:
        """Return the serializer of a submission for POST, otherwise that of a job."""
        return SubmissionSerializer if self.action == "create" else JobSerializer

    def get_throttles(self) -> Sequence[BaseThrottle]:
        """Return the limits of this request. Submitting a job has a second one."""
        return [UserThrottle(), *([SubmitThrottle()] if self.action == "create" else [])]

    @extend_schema(
        responses={200: JobSerializer(many=True), **schema.INVALID, **schema.NOT_FOUND, **schema.COMMON_ERRORS}
    )
    def list(self, request: Request) -> Response:
        """List your jobs, the newest first."""
        return super().list(request)

    @extend_schema(
        parameters=[schema.JOB_ID], responses={200: JobSerializer, **schema.NOT_FOUND, **schema.COMMON_ERRORS}
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """Show one job: how far it is, and its result."""
        return super().retrieve(request, pk)

    @extend_schema(
        request={"application/json": SubmissionSerializer, "multipart/form-data": UploadSerializer},
        parameters=[schema.LOCATION],
        responses={
            202: OpenApiResponse(JobSerializer, "The job has been saved, and a worker will run it"),
            **schema.INVALID,
            **schema.BODY_REFUSED,
            **schema.COMMON_ERRORS,
        },
    )
    def create(self, request: Request) -> Response:
        """Submit a job. Its kind decides which arguments it takes. Send files as fields of a multipart form."""
        submission = self.get_serializer(data=request.data)
        submission.is_valid(raise_exception=True)
        job = JobSerializer(submission.save(owner=request.user), context=self.get_serializer_context()).data
        return Response(job, status.HTTP_202_ACCEPTED, headers={"Location": str(job["url"])})

    @extend_schema(
        parameters=[schema.JOB_ID],
        request=None,
        responses={200: JobSerializer, **schema.ALREADY_FINISHED, **schema.NOT_FOUND, **schema.COMMON_ERRORS},
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Cancel a waiting job, or ask a running one to stop. It stops when it next reports its progress and its worker
        has noticed.
        """
        job = self.get_object()
        if job.is_finished:
            raise AlreadyFinished
        job = lifecycle.cancel(job)
        if job.is_finished and job.status != Job.Status.CANCELLED:  # It finished a moment ago.
            raise AlreadyFinished
        return Response(self.get_serializer(job).data)

    @extend_schema(
        parameters=[schema.JOB_ID],
        responses={(200, "*/*"): OpenApiTypes.BINARY, **schema.NOT_FOUND, **schema.COMMON_ERRORS},
    )
    @action(detail=True)
    def download(self, request: Request, pk: str) -> HttpResponseBase:
        """Download the file that the job has written. 404 until the job has succeeded, or if it writes no file."""
        return downloads.download_response(self.get_object())


class SchemaView(SpectacularAPIView):
    """The OpenAPI schema of this API, as YAML. `?format=json` returns JSON."""

    throttle_classes = [UserThrottle]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Return the schema."""
        # Not the base class's method, which would copy query parameters into a response header.
        return Response(self.generator_class().get_schema(request=request, public=True))
