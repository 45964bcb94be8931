"""Files that not everybody may see: ops/web/sendfile.py."""

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.http import Http404

from ops.web.sendfile import send_file


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    """Files go to a folder of the test."""
    settings.MEDIA_ROOT = tmp_path
    settings.ACCEL_LOCATION = ""


@pytest.fixture
def stored():
    """The name of a file in the default storage."""
    return default_storage.save("reports/résumé.txt", ContentFile(b"content"))


def test_a_file_is_sent_as_an_attachment_with_its_name(stored):
    response = send_file(stored, "report.txt")

    assert b"".join(response) == b"content"
    assert response.headers["Content-Disposition"] == 'attachment; filename="report.txt"'
    assert response.headers["Content-Length"] == "7"
    response.close()


@pytest.mark.parametrize("location", ["", "/internal/media/"])
@pytest.mark.parametrize("filename", ["page.html", "image.svg", "résumé.pdf"])
def test_a_browser_never_displays_it(settings, stored, location, filename):
    settings.ACCEL_LOCATION = location

    response = send_file(stored, filename)

    assert response.headers["Content-Disposition"].startswith("attachment; filename")
    response.close()


@pytest.mark.parametrize("location", ["", "/internal/media/"])
@pytest.mark.parametrize(
    ("filename", "content_type"),
    [
        ("report.csv", "text/csv"),
        ("image.webp", "image/webp"),
        ("report.csv.gz", "application/octet-stream"),
        ("report.unknown", "application/octet-stream"),
        ("report", "application/octet-stream"),
    ],
)
def test_its_content_type_follows_from_the_name_that_people_see(settings, stored, location, filename, content_type):
    settings.ACCEL_LOCATION = location

    response = send_file(stored, filename)

    assert response.headers["Content-Type"] == content_type
    response.close()


def test_with_a_proxy_that_sends_files_the_response_only_says_where_it_is(settings, stored):
    settings.ACCEL_LOCATION = "/internal/media/"

    response = send_file(stored, "résumé.txt")

    assert response.content == b""
    assert response.headers["X-Accel-Redirect"] == "/internal/media/reports/r%C3%A9sum%C3%A9.txt"
    assert response.headers["Content-Disposition"] == "attachment; filename*=utf-8''r%C3%A9sum%C3%A9.txt"


def test_the_path_of_a_file_may_contain_any_characters(settings):
    settings.ACCEL_LOCATION = "/internal/media/"

    response = send_file("a b/50%?#\n.txt", "a.txt")

    assert response.headers["X-Accel-Redirect"] == "/internal/media/a%20b/50%25%3F%23%0A.txt"


def test_without_a_proxy_that_sends_files_the_response_has_no_x_accel_redirect(stored):
    response = send_file(stored, "report.txt")

    assert "X-Accel-Redirect" not in response.headers
    response.close()


def test_a_file_that_does_not_exist_is_not_found():
    with pytest.raises(Http404):
        send_file("reports/deleted.txt", "report.txt")
