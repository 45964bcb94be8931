"""What people do on the pages at /jobs/: jobs/views.py and its templates."""

import re
import uuid

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs.models import Job
from tests.jobs.helpers import page_of, text_of, write_job, write_job_with_output
from tests.support.waiting import wait_for

HTMX = {"HX-Request": "true"}
ANY_ID = "00000000-0000-0000-0000-000000000000"


def form_on(page: str, kind: str) -> dict:
    """Return the fields of a kind's form, as the page fills them in."""
    form = re.search(rf'<form[^>]* action="/jobs/{kind}/".*?</form>', page, re.DOTALL)[0]
    return {
        re.search(r'name="(\w+)"', field)[1]: re.search(r'value="([^"]*)"', field)[1]
        for field in re.findall(r"<input[^>]*>", form)
        if "value=" in field
    }


def rows_on(page: str) -> list[str]:
    """Return the HTML of each job on the list."""
    return re.findall(r'<li id="job-.*?</li>', page, re.DOTALL)


# --- Who may see them ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("rest", ["", "double/", f"{ANY_ID}/", f"{ANY_ID}/cancel/", f"{ANY_ID}/download/"])
def test_a_visitor_who_is_not_logged_in_is_sent_to_the_login_page(client, rest):
    for response in (client.get(f"/jobs/{rest}"), client.post(f"/jobs/{rest}")):
        assert response.headers["Location"] == f"{reverse('login')}?next=/jobs/{rest}"


@pytest.mark.parametrize("who", ["grace", "staff"])
def test_a_job_of_somebody_else_is_not_found(client, ada, who, request):
    job = write_job_with_output(ada)
    waiting = write_job(ada)
    client.force_login(request.getfixturevalue(who))

    assert client.get(f"/jobs/{job.pk}/").status_code == 404
    assert client.get(f"/jobs/{job.pk}/download/").status_code == 404
    assert client.post(f"/jobs/{waiting.pk}/cancel/").status_code == 404
    assert Job.objects.get(pk=waiting.pk).status == "waiting"


# --- Submitting ---------------------------------------------------------------------------------------------------


def test_a_job_submitted_on_the_page_is_run_and_its_result_is_shown(dispatching, browser):
    response = browser.post("/jobs/multiply/", form_on(page_of(browser), "multiply") | {"x": 21, "y": 2})
    job = Job.objects.get()
    assert response.headers["Location"] == f"/jobs/#job-{job.pk}"

    [row] = wait_for(lambda: [row for row in rows_on(page_of(browser)) if "succeeded" in row], "the end of the job", 20)
    assert "x = 21, y = 2" in row
    assert '<p class="result">42</p>' in row


def test_kinds_with_a_form_are_offered_and_no_others(browser, define):
    @define()
    def secret():
        """Only for code."""

    page = page_of(browser)
    offered = set(re.findall(r"<summary><b>(\w+)", page))

    assert {"double", "multiply", "shout"} <= offered
    assert "secret" not in offered
    assert "Double a number." in page
    for kind in ("secret", "nothing"):
        assert browser.post(f"/jobs/{kind}/", {"idempotency_key": uuid.uuid4()}).status_code == 404
    assert not Job.objects.exists()


def test_the_same_form_sent_twice_is_one_job(browser):
    form = form_on(page_of(browser), "multiply")

    first, second = browser.post("/jobs/multiply/", form), browser.post("/jobs/multiply/", form)

    assert first.headers["Location"] == second.headers["Location"]
    assert Job.objects.count() == 1


def test_the_form_of_a_page_that_was_loaded_again_submits_a_second_job(browser):
    for _ in range(2):
        browser.post("/jobs/multiply/", form_on(page_of(browser), "multiply"))

    assert Job.objects.count() == 2


def test_a_form_sent_again_with_other_values_is_refused_and_can_be_sent_once_more(browser):
    form = form_on(page_of(browser), "multiply")
    browser.post("/jobs/multiply/", form)

    response = browser.post("/jobs/multiply/", form | {"x": 7})
    assert response.status_code == 400
    assert "This form was already sent with other values." in text_of(response)
    assert Job.objects.count() == 1

    again = form_on(text_of(response), "multiply")
    assert again["x"] == "7"
    assert browser.post("/jobs/multiply/", again).status_code == 302
    assert Job.objects.count() == 2


def test_errors_are_shown_in_the_form_that_was_sent_and_only_it_is_open(browser):
    response = browser.post("/jobs/double/", {"idempotency_key": uuid.uuid4(), "number": -1})

    assert response.status_code == 400
    [opened] = re.findall(r"<details[^>]* open>.*?</details>", text_of(response), re.DOTALL)
    assert 'action="/jobs/double/"' in opened
    assert "greater than or equal to 0" in opened
    assert form_on(opened, "double")["number"] == "-1"
    assert "greater than" not in text_of(response).replace(opened, "")
    assert not Job.objects.exists()


@pytest.mark.parametrize("key", [{}, {"idempotency_key": "not random"}, {"idempotency_key": "\0"}])
def test_a_form_without_a_proper_key_is_refused(browser, key):
    assert browser.post("/jobs/multiply/", {"x": 4, "y": 5} | key).status_code == 400
    assert not Job.objects.exists()


def test_a_file_is_sent_and_shown_by_its_name(browser):
    form = form_on(page_of(browser), "shout")

    browser.post("/jobs/shout/", form | {"text": ContentFile(b"hello", name="me.TXT")})

    job = Job.objects.get()
    assert default_storage.open(job.arguments["text"]).read() == b"hello"
    assert "text = text.txt" in page_of(browser)


def test_the_address_of_a_form_leads_to_the_page(browser):
    assert browser.get("/jobs/double/").headers["Location"] == "/jobs/"


# --- The list -----------------------------------------------------------------------------------------------------


def test_people_see_only_their_own_jobs_newest_first(browser, ada, grace):
    old, new = write_job(ada, minutes=2), write_job(ada, minutes=1)
    write_job(grace)
    write_job(None)

    assert re.findall(r'<li id="job-(.*?)"', page_of(browser)) == [str(new.pk), str(old.pk)]


def test_there_are_twenty_jobs_a_page(browser, ada):
    jobs = [write_job(ada, minutes=minutes) for minutes in range(21)]
    first, second = page_of(browser), page_of(browser, "/jobs/?page=2")

    assert len(rows_on(first)) == 20
    assert "Page 1 of 2" in first
    assert 'href="/jobs/?page=2"' in first
    [last] = rows_on(second)
    assert str(jobs[-1].pk) in last
    assert "Page 1 of 2" in page_of(browser, "/jobs/?page=nonsense")


@pytest.mark.parametrize(
    ("fields", "shown", "hidden"),
    [
        ({"status": "waiting"}, ["waiting", "Cancel"], ["<progress", "Download"]),
        (
            {"status": "running", "attempts": 1, "done": 30_000, "total": 100_000, "note": "rows"},
            ["running", "Cancel", 'value="30000" max="100000"', "30,000 of 100,000 rows"],
            ["attempt"],
        ),
        ({"status": "running", "attempts": 1}, ["<progress", "working …"], ["value=", "max="]),
        ({"status": "running", "cancel_requested": True}, ["running", "cancelling …"], ["<button"]),
        (
            {"status": "waiting", "attempts": 1, "max_attempts": 5, "error": "ConnectionError: no route"},
            ["Last attempt: ConnectionError: no route"],
            [],
        ),
        (
            {"status": "running", "attempts": 2, "max_attempts": 5, "error": "ConnectionError: no route"},
            ["attempt 2 of 5"],
            [],
        ),
        ({"status": "running", "attempts": 8, "interruptions": 6, "max_attempts": 5}, ["attempt 2 of 5"], []),
        ({"status": "succeeded", "attempts": 7, "interruptions": 6}, ["succeeded"], ["attempt"]),
        ({"status": "succeeded", "result": {"rows": 9}}, ["rows = 9", "took 1 min 30 s"], ["<button", "Download"]),
        ({"status": "succeeded", "result": None}, ["succeeded"], ["None", "null"]),
        ({"status": "failed", "error": "ValueError: no", "attempts": 3}, ["ValueError: no", "3 attempts"], ["<button"]),
        ({"status": "cancelled", "cancel_requested": True}, ["cancelled"], ["<button", "cancelling"]),
    ],
)
def test_each_row_shows_the_state_of_its_job(browser, ada, fields, shown, hidden):
    write_job(ada, **fields)
    [row] = rows_on(page_of(browser))
    row = re.sub(r'<input type="hidden".*?>', "", row)

    for word in shown:
        assert word in row
    for word in hidden:
        assert word not in row


def test_a_long_result_is_cut_in_the_list_and_whole_on_the_jobs_page(browser, ada):
    job = write_job(ada, kind="double", status="succeeded", result=10**1000)
    whole = str(10**1000)

    assert "1000000" in page_of(browser)
    assert whole not in page_of(browser)
    assert whole in page_of(browser, f"/jobs/{job.pk}/")


def test_what_a_job_says_is_text_and_never_html(browser, ada):
    job = write_job(ada, status="failed", error="<script>alert(1)</script>", arguments={"x": "<script>"})

    for path in ("/jobs/", f"/jobs/{job.pk}/"):
        assert "<script>" not in browser.get(path).content.decode()


def test_a_page_of_twenty_jobs_takes_no_more_queries_than_one_of_a_single_job(browser, ada):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            page_of(browser)
        return len(captured)

    write_job(ada)
    single = queries()
    for minutes in range(20):
        write_job(ada, minutes=minutes)

    assert queries() == single


# --- Polling ------------------------------------------------------------------------------------------------------


def test_the_list_polls_while_a_job_of_it_is_unfinished(browser, ada):
    write_job(ada, status="succeeded")
    assert "data-hx-get" not in page_of(browser)

    job = write_job(ada, status="running")
    page = page_of(browser)
    [path] = re.findall(r'data-hx-get="(.*?)"', page)
    part = page_of(browser, path, headers=HTMX)
    assert "<html" not in part
    assert len(rows_on(part)) == len(rows_on(page)) == 2
    assert "data-hx-get" in part

    Job.objects.filter(pk=job.pk).update(status="succeeded")
    assert "data-hx-get" not in page_of(browser, path, headers=HTMX)


def test_a_jobs_page_polls_until_the_job_has_finished(browser, ada):
    job = write_job(ada, status="running", done=1, total=2)
    page = page_of(browser, f"/jobs/{job.pk}/")
    [path] = re.findall(r'data-hx-get="(.*?)"', page)
    part = page_of(browser, path, headers=HTMX)
    assert 'value="1" max="2"' in part
    assert "<html" not in part

    Job.objects.filter(pk=job.pk).update(status="failed", error="ValueError: no", finished_at=timezone.now())
    part = page_of(browser, path, headers=HTMX)
    assert "ValueError: no" in part
    assert "data-hx-get" not in part


def test_a_poll_announces_only_what_has_changed(browser, ada):
    job = write_job(ada, status="running")
    [path] = re.findall(r'data-hx-get="(.*?)"', page_of(browser))

    assert 'id="announcement"' not in page_of(browser, path, headers=HTMX)

    Job.objects.filter(pk=job.pk).update(status="succeeded")
    announcement = '<p id="announcement" data-hx-swap-oob="innerHTML">all finished</p>'
    assert announcement in page_of(browser, path, headers=HTMX)


def test_a_page_that_polls_after_a_logout_reloads_itself(client):
    for path in ("/jobs/", f"/jobs/{ANY_ID}/"):
        response = client.get(path, headers=HTMX)
        assert response.headers["HX-Refresh"] == "true"
        assert response.content == b""


def test_a_page_of_a_job_that_was_deleted_meanwhile_reloads_itself(browser):
    assert browser.get(f"/jobs/{ANY_ID}/", headers=HTMX).headers["HX-Refresh"] == "true"


def test_the_pages_have_no_inline_scripts_or_styles_and_load_nothing_from_elsewhere(browser, ada):
    job = write_job(ada, status="running", done=1, total=2)

    for path in ("/jobs/", f"/jobs/{job.pk}/"):
        page = page_of(browser, path)
        assert not re.search(r"""<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:|["'](https?:)?//""", page)


# --- Cancelling ---------------------------------------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_from_its_page_of_the_list(browser, ada):
    job = write_job(ada)

    response = browser.post(f"/jobs/{job.pk}/cancel/", {"page": "3"})

    assert response.headers["Location"] == f"/jobs/?page=3#job-{job.pk}"
    assert Job.objects.get().status == "cancelled"


def test_a_running_job_is_asked_to_stop_from_its_own_page(browser, ada):
    job = write_job(ada, status="running")

    response = browser.post(f"/jobs/{job.pk}/cancel/")

    assert response.headers["Location"] == f"/jobs/{job.pk}/"
    assert Job.objects.get().cancel_requested
    assert "cancelling …" in page_of(browser, f"/jobs/{job.pk}/")


def test_looking_at_the_address_cancels_nothing(browser, ada):
    job = write_job(ada)

    assert browser.get(f"/jobs/{job.pk}/cancel/").headers["Location"] == f"/jobs/{job.pk}/"
    assert Job.objects.get().status == "waiting"
