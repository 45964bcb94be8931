"""The sample kinds of jobs, and what their forms refuse."""

import csv
import io
from decimal import Decimal

import pytest
from django.core.checks import run_checks
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from jobs import registry, submit
from jobs.forms import MAX_PIXELS
from jobs.worker import work


def worked_on(kind, **arguments):
    """Return the job after a worker had it."""
    job = submit(kind, **arguments)
    work(str(job.pk))
    job.refresh_from_db()
    return job


def picture(*size, mode="RGB", kind="JPEG", **options) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


def upload(content: bytes, name="picture.jpg"):
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
    job = worked_on(kind, **arguments)

    assert (job.status, job.result) == ("succeeded", result)


@pytest.mark.django_db(transaction=True)
def test_a_report_has_all_its_rows_and_their_sum():
    job = worked_on("build_report", rows=2500)

    rows = list(csv.DictReader(job.output.read().decode().splitlines()))
    assert [int(row["order"]) for row in rows] == list(range(1, 2501))
    assert job.result == {"rows": 2500, "total": str(sum(Decimal(row["amount"]) for row in rows))}
    assert (job.done, job.total, job.percent) == (2500, 2500, 100)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_becomes_a_png(mode):
    job = worked_on("convert_image", image=upload(picture(30, 20, mode=mode)))

    assert job.result == {"width": 30, "height": 20}
    assert Image.open(job.output).format == "PNG"


@pytest.mark.django_db(transaction=True)
def test_a_picture_that_was_taken_sideways_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turned by 90 degrees

    assert worked_on("convert_image", image=upload(picture(30, 20, exif=exif))).result == {"width": 20, "height": 30}


@pytest.mark.django_db(transaction=True)
def test_a_jpeg_that_ends_in_the_middle_fails_and_says_so():
    job = worked_on("convert_image", image=upload(picture(300, 200)[:-100]))

    assert job.status == "failed"
    assert "truncated" in job.error


def errors(kind, data=None, **files) -> dict:
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
def test_what_is_no_jpeg_or_unpacks_to_too_much_is_refused(file, message):
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
def test_a_number_that_is_out_of_range_is_refused_by_its_name(kind, data, field):
    assert list(errors(kind, data)) == [field]


def test_a_queue_that_nobody_reads_is_found_by_manage_py_check(define):
    @define(queue="defualt")
    def lost():
        pass

    assert [error.msg for error in run_checks()] == ["job lost: no queue is called 'defualt'"]


def test_a_dead_workers_job_does_not_wait_longer_than_a_living_ones_may_run(settings):
    settings.JOBS_LEASE_SECONDS = settings.CELERY_TASK_TIME_LIMIT

    assert [error.msg for error in run_checks()] == ["JOBS_LEASE_SECONDS=300 is too long"]
