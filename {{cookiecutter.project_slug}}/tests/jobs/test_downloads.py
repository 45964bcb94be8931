"""Owners download what their jobs have written: jobs/downloads.py."""

from pathlib import PurePath
from urllib.parse import quote

import pytest
from django.core.files.storage import default_storage

from tests.jobs.helpers import page_of, write_job, write_job_with_output


def test_the_owner_downloads_what_the_job_wrote(browser, ada):
    job = write_job_with_output(ada)
    assert f'href="/jobs/{job.pk}/download/"' in page_of(browser)

    response = browser.get(f"/jobs/{job.pk}/download/")

    assert b"".join(response) == b"order,amount\n"
    assert response.headers["Content-Disposition"] == 'attachment; filename="report.csv"'
    assert response.headers["Content-Type"] == "text/csv"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "private"


def test_behind_nginx_the_response_names_the_file_and_is_empty(browser, ada, settings):
    settings.ACCEL_LOCATION = "/internal/media/"
    job = write_job_with_output(ada, "über 100%?.csv")

    response = browser.get(f"/jobs/{job.pk}/download/")

    assert response.content == b""
    stored = PurePath(job.output.name).name
    assert response.headers["X-Accel-Redirect"] == f"/internal/media/jobs/{job.pk}/1/{quote(stored)}"
    assert response.headers["X-Accel-Redirect"].isascii()
    assert response.headers["Content-Disposition"] == f"attachment; filename*=utf-8''{quote(stored)}"
    assert response.headers["Content-Type"] == "text/csv"
    assert response.headers["Cache-Control"] == "private"


def test_a_job_without_a_file_has_no_download(browser, ada):
    gone = write_job_with_output(ada)
    default_storage.delete(gone.output.name)
    jobs = [write_job(ada, status="succeeded"), write_job_with_output(ada, status="failed"), gone]

    assert [browser.get(f"/jobs/{job.pk}/download/").status_code for job in jobs] == [404, 404, 404]


@pytest.mark.parametrize("name", ["data", "report.csv.gz"])
def test_a_file_of_no_known_type_is_sent_as_bytes(browser, ada, name):
    job = write_job_with_output(ada, name)

    assert browser.get(f"/jobs/{job.pk}/download/").headers["Content-Type"] == "application/octet-stream"
