"""The sample jobs, and what their forms refuse: example/jobs.py."""

import csv
import io
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from example.jobs import MAX_PIXELS
from jobs import registry, submit
from jobs.executor import execute
from jobs.models import Job


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    """Files go to a folder of the test's own."""
    settings.MEDIA_ROOT = tmp_path / "media"


def executed(kind: str, **arguments) -> Job:
    """Submit a job and return it after it has run."""
    job = submit(kind, **arguments)
    execute(str(job.pk))
    job.refresh_from_db()
    return job


def picture(*size: int, mode="RGB", kind="JPEG", **options) -> bytes:
    """Return a picture of this width and height as the content of a file."""
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


def upload(content: bytes, name="picture.jpg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type="image/jpeg")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("kind", "arguments", "result"),
    [
        ("add", {"x": 4, "y": 5}, 9),
        ("power", {"base": 2, "exponent": 10}, 1024),
        ("power", {"base": -1000, "exponent": 1000}, 1000**1000),
        ("fibonacci", {"n": 0}, 0),
        ("fibonacci", {"n": 10}, 55),
    ],
)
def test_a_number_is_computed(kind, arguments, result):
    job = executed(kind, **arguments)

    assert (job.status, job.result) == ("succeeded", result)


@pytest.mark.django_db(transaction=True)
def test_a_report_has_all_its_rows_and_their_sum():
    job = executed("build_report", rows=2500)

    rows = list(csv.DictReader(job.output.read().decode().splitlines()))
    assert [int(row["order"]) for row in rows] == list(range(1, 2501))
    assert job.result == {"rows": 2500, "total": str(sum(Decimal(row["amount"]) for row in rows))}
    assert (job.done, job.total, job.percent) == (2500, 2500, 100)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_becomes_a_png(mode):
    job = executed("convert_image", image=upload(picture(30, 20, mode=mode)))

    assert job.result == {"width": 30, "height": 20}
    assert Image.open(job.output).format == "PNG"


@pytest.mark.django_db(transaction=True)
def test_a_picture_that_was_taken_sideways_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turned by 90 degrees

    assert executed("convert_image", image=upload(picture(30, 20, exif=exif))).result == {"width": 20, "height": 30}


@pytest.mark.django_db(transaction=True)
def test_a_jpeg_that_ends_in_the_middle_fails_and_says_so():
    job = executed("convert_image", image=upload(picture(300, 200)[:-100]))

    assert job.status == "failed"
    assert "truncated" in job.error


def errors(kind: str, data: dict | None = None, **files) -> dict:
    """Return what the form of a job refuses, by field."""
    return registry.get(kind).form(data, files).errors


def with_size_in_its_header(content: bytes, width: int, height: int) -> bytes:
    """Return a JPEG that claims another size than it has."""
    start = content.index(b"\xff\xc0") + 5
    return content[:start] + height.to_bytes(2) + width.to_bytes(2) + content[start + 4 :]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (upload(b"just text"), "Upload a valid image"),
        (upload(picture(3, 2, kind="PNG")), "This is not a JPEG."),
        (upload(picture(3, 2), name="picture.png"), "File extension “png” is not allowed"),
        (upload(b""), "The submitted file is empty"),
        (upload(with_size_in_its_header(picture(3, 2), 6000, 5000)), f"at most {MAX_PIXELS:,}"),
        (upload(with_size_in_its_header(picture(3, 2), 60_000, 60_000)), "Upload a valid image"),
    ],
    ids=["text", "PNG", "extension", "empty", "too many pixels", "decompression bomb"],
)
def test_a_file_that_is_not_a_jpeg_or_decodes_to_too_much_is_refused(file, message):
    assert message in str(errors("convert_image", {}, image=file)["image"])


@pytest.mark.parametrize(
    ("kind", "data", "field"),
    [
        ("fibonacci", {"n": -1}, "n"),
        ("fibonacci", {"n": 36}, "n"),
        ("fibonacci", {}, "n"),
        ("power", {"base": 2, "exponent": "many"}, "exponent"),
        ("build_report", {"rows": 10**9}, "rows"),
        ("add", {"x": 1, "y": 10**13}, "y"),
    ],
)
def test_a_number_that_is_out_of_range_is_refused_beside_its_field(kind, data, field):
    assert list(errors(kind, data)) == [field]
