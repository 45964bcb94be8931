"""What the tests of the API send."""

from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

DOUBLE = {"kind": "double", "arguments": {"number": 3}}


def client_of(user) -> APIClient:
    """Return a client that sends the user's token."""
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=user)}")
    return client


def submit_json(client: APIClient, body):
    """Submit a job as JSON, and return the response."""
    return client.post("/api/jobs/", body, format="json")


def submit_file(client: APIClient, content: bytes = b"hello", name: str = "hello.txt", **fields):
    """Submit a job with a file as a multipart form, and return the response."""
    return client.post("/api/jobs/", {"kind": "shout", "text": SimpleUploadedFile(name, content), **fields})
