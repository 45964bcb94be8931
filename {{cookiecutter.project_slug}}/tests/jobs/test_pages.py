"""What people do at /jobs/ and staff in the admin: jobs/views.py, jobs/admin.py."""

import io
import re
import uuid
from datetime import timedelta
from html import unescape
from pathlib import PurePath
from urllib.parse import quote

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from PIL import Image

from jobs import ledger
from jobs.models import Job
from jobs.run import ClaimLost
from tests.waiting import wait_for

HTMX = {"HX-Request": "true"}
ADMIN_LIST = reverse_lazy("admin:jobs_job_changelist")
ANY_ID = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def ada(db):
    return get_user_model().objects.create_user("ada", password="let me in")  # noqa: S106 a test's


@pytest.fixture
def grace(db):
    return get_user_model().objects.create_user("grace")


@pytest.fixture
def staff(db):
    return get_user_model().objects.create_superuser("staff")


@pytest.fixture
def browser(client, ada):
    """Ada's browser: she is logged in."""
    client.force_login(ada)
    return client


def text_of(answer) -> str:
    return unescape(answer.content.decode())


def page_of(browser, address="/jobs/", **options) -> str:
    answer = browser.get(address, **options)
    assert answer.status_code == 200
    return text_of(answer)


def form_on(page: str, kind: str) -> dict:
    """Return the fields of a kind's form, as the page fills them in."""
    form = re.search(rf'<form[^>]* action="/jobs/{kind}/".*?</form>', page, re.DOTALL)[0]
    return {
        re.search(r'name="(\w+)"', field)[1]: re.search(r'value="([^"]*)"', field)[1]
        for field in re.findall(r"<input[^>]*>", form)
        if "value=" in field
    }


def rows_on(page: str) -> list[str]:
    """Return the HTML of each job of the list."""
    return re.findall(r'<li id="job-.*?</li>', page, re.DOTALL)


def written(owner, minutes=0, **fields) -> Job:
    """Return a job as the ledger would have left it, submitted some minutes ago."""
    fields = {"kind": "add", "arguments": {"x": 4, "y": 5}} | fields
    now = timezone.now()
    job = Job(owner=owner, created_at=now - timedelta(minutes=minutes), **fields)
    if job.finished:
        job.started_at, job.finished_at = now - timedelta(seconds=90), now
    job.save()
    return job


def with_output(owner, name="report.csv", **fields) -> Job:
    job = written(owner, **{"kind": "build_report", "status": "succeeded", "arguments": {"rows": 1}} | fields)
    job.output = default_storage.save(f"jobs/{job.pk}/1/{name}", ContentFile(b"order,amount\n"))
    job.save()
    return job


# --- Logging in ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("rest", ["", "add/", f"{ANY_ID}/", f"{ANY_ID}/cancel/", f"{ANY_ID}/download/"])
def test_who_is_not_logged_in_is_sent_to_the_login_page(client, rest):
    for answer in (client.get(f"/jobs/{rest}"), client.post(f"/jobs/{rest}")):
        assert answer.headers["Location"] == f"/login/?next=/jobs/{rest}"


def test_a_user_without_staff_rights_logs_in_and_out(client, ada):
    assert reverse("admin:index") not in page_of(client, "/login/")

    answer = client.post("/login/", {"username": "ada", "password": "let me in"}, follow=True)
    assert answer.redirect_chain == [("/jobs/", 302)]
    assert "ada" in text_of(answer)
    assert reverse("admin:index") not in text_of(answer)

    assert client.post("/logout/").headers["Location"] == "/login/"
    assert client.get("/jobs/").status_code == 302


def test_a_wrong_password_is_said(client, ada):
    answer = client.post("/login/", {"username": "ada", "password": "let me out"})

    assert "enter a correct username and password" in text_of(answer)


# --- Submitting ---------------------------------------------------------------------------------------------------


def test_a_job_submitted_on_the_page_is_worked_on_and_its_result_is_shown(sweeping, browser):
    answer = browser.post("/jobs/add/", form_on(page_of(browser), "add") | {"x": 40, "y": 2})
    job = Job.objects.get()
    assert answer.headers["Location"] == f"/jobs/#job-{job.pk}"

    [row] = wait_for(lambda: [row for row in rows_on(page_of(browser)) if "succeeded" in row], "the end of the job", 20)
    assert "x = 40, y = 2" in row
    assert '<p class="result">42</p>' in row


def test_kinds_with_a_form_are_offered_and_no_others(browser, define):
    @define()
    def secret():
        """Only for code."""

    page = page_of(browser)

    assert {"add", "build_report", "convert_image", "fibonacci", "power"} == set(re.findall(r"<summary><b>(\w+)", page))
    assert "Raise a number to a power." in page
    for kind in ("secret", "nothing"):
        assert browser.post(f"/jobs/{kind}/", {"key": uuid.uuid4()}).status_code == 404
    assert not Job.objects.exists()


def test_the_same_form_sent_twice_is_one_job(browser):
    form = form_on(page_of(browser), "add")

    first, second = browser.post("/jobs/add/", form), browser.post("/jobs/add/", form)

    assert first.headers["Location"] == second.headers["Location"]
    assert Job.objects.count() == 1


def test_forms_of_two_pages_are_two_jobs(browser):
    for _ in range(2):
        browser.post("/jobs/add/", form_on(page_of(browser), "add"))

    assert Job.objects.count() == 2


def test_a_form_sent_again_with_other_values_is_refused_and_can_be_sent_once_more(browser):
    form = form_on(page_of(browser), "add")
    browser.post("/jobs/add/", form)

    answer = browser.post("/jobs/add/", form | {"x": 7})
    assert answer.status_code == 400
    assert "This form was sent before, with other values." in text_of(answer)
    assert Job.objects.count() == 1

    again = form_on(text_of(answer), "add")
    assert again["x"] == "7"
    assert browser.post("/jobs/add/", again).status_code == 302
    assert Job.objects.count() == 2


def test_what_a_form_refuses_is_said_beside_it_and_only_that_form_is_open(browser):
    answer = browser.post("/jobs/power/", {"key": uuid.uuid4(), "base": 2, "exponent": -1})

    assert answer.status_code == 400
    [opened] = re.findall(r"<details[^>]* open>.*?</details>", text_of(answer), re.DOTALL)
    assert 'action="/jobs/power/"' in opened
    assert "greater than or equal to 0" in opened
    assert form_on(opened, "power")["exponent"] == "-1"
    assert "greater than" not in text_of(answer).replace(opened, "")
    assert not Job.objects.exists()


@pytest.mark.parametrize("key", [{}, {"key": "not random"}, {"key": "\0"}])
def test_a_form_without_a_proper_key_is_refused(browser, key):
    assert browser.post("/jobs/add/", {"x": 4, "y": 5} | key).status_code == 400
    assert not Job.objects.exists()


def test_a_picture_is_sent_and_shown_by_its_name(browser):
    jpeg = io.BytesIO()
    Image.new("RGB", (4, 4)).save(jpeg, "JPEG")
    form = form_on(page_of(browser), "convert_image")

    browser.post("/jobs/convert_image/", form | {"image": ContentFile(jpeg.getvalue(), name="me.JPG")})

    job = Job.objects.get()
    assert default_storage.open(job.arguments["image"]).read() == jpeg.getvalue()
    assert "image = image.jpg" in page_of(browser)


def test_an_address_of_a_form_brings_the_page(browser):
    assert browser.get("/jobs/add/").headers["Location"] == "/jobs/"


# --- The list -----------------------------------------------------------------------------------------------------


def test_people_see_their_own_jobs_only_the_newest_first(browser, ada, grace):
    old, new = written(ada, minutes=2), written(ada, minutes=1)
    written(grace)
    written(None)

    assert re.findall(r'<li id="job-(.*?)"', page_of(browser)) == [str(new.pk), str(old.pk)]


def test_there_are_twenty_jobs_a_page(browser, ada):
    jobs = [written(ada, minutes=minutes) for minutes in range(21)]
    first, second = page_of(browser), page_of(browser, "/jobs/?page=2")

    assert len(rows_on(first)) == 20
    assert "Page 1 of 2" in first
    assert 'href="/jobs/?page=2"' in first
    [last] = rows_on(second)
    assert str(jobs[-1].pk) in last
    assert "Page 1 of 2" in page_of(browser, "/jobs/?page=nonsense")


@pytest.mark.parametrize(
    ("fields", "said", "unsaid"),
    [
        ({"status": "waiting"}, ["waiting", "Cancel"], ["<progress", "Download"]),
        (
            {"status": "running", "attempts": 1, "done": 30_000, "total": 100_000, "note": "rows"},
            ["running", "Cancel", 'value="30000" max="100000"', "30,000 of 100,000 rows"],
            ["attempt"],
        ),
        ({"status": "running", "attempts": 1}, ["<progress", "working …"], ["value=", "max="]),
        ({"status": "running", "cancel_requested": True}, ["running", "asked to stop"], ["<button"]),
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
        ({"status": "succeeded", "result": {"rows": 9}}, ["rows = 9", "took 1 min 30 s"], ["<button", "Download"]),
        ({"status": "succeeded", "result": None}, ["succeeded"], ["None", "null"]),
        ({"status": "failed", "error": "ValueError: no", "attempts": 3}, ["ValueError: no", "3 attempts"], ["<button"]),
        ({"status": "cancelled", "cancel_requested": True}, ["cancelled"], ["<button", "asked to stop"]),
    ],
)
def test_each_job_says_how_it_is(browser, ada, fields, said, unsaid):
    written(ada, **fields)
    [row] = rows_on(page_of(browser))
    row = re.sub(r'<input type="hidden".*?>', "", row)

    for word in said:
        assert word in row
    for word in unsaid:
        assert word not in row


def test_a_long_result_is_cut_in_the_list_and_whole_on_the_jobs_page(browser, ada):
    job = written(ada, kind="power", status="succeeded", result=10**1000)
    whole = str(10**1000)

    assert "1000000" in page_of(browser)
    assert whole not in page_of(browser)
    assert whole in page_of(browser, f"/jobs/{job.pk}/")


def test_what_a_job_says_is_text_and_never_html(browser, ada):
    job = written(ada, status="failed", error="<script>alert(1)</script>", arguments={"x": "<script>"})

    for address in ("/jobs/", f"/jobs/{job.pk}/"):
        assert "<script>" not in browser.get(address).content.decode()


def test_a_page_of_twenty_jobs_takes_no_more_queries_than_one_of_a_single_job(browser, ada):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            page_of(browser)
        return len(captured)

    written(ada)
    single = queries()
    for minutes in range(20):
        written(ada, minutes=minutes)

    assert queries() == single


# --- Polling ------------------------------------------------------------------------------------------------------


def test_the_list_polls_while_a_job_of_it_is_unfinished(browser, ada):
    written(ada, status="succeeded")
    assert "data-hx-get" not in page_of(browser)

    job = written(ada, status="running")
    page = page_of(browser)
    [address] = re.findall(r'data-hx-get="(.*?)"', page)
    part = page_of(browser, address, headers=HTMX)
    assert "<html" not in part
    assert len(rows_on(part)) == len(rows_on(page)) == 2
    assert "data-hx-get" in part

    Job.objects.filter(pk=job.pk).update(status="succeeded")
    assert "data-hx-get" not in page_of(browser, address, headers=HTMX)


def test_a_jobs_page_polls_until_the_job_has_finished(browser, ada):
    job = written(ada, status="running", done=1, total=2)
    page = page_of(browser, f"/jobs/{job.pk}/")
    [address] = re.findall(r'data-hx-get="(.*?)"', page)
    part = page_of(browser, address, headers=HTMX)
    assert 'value="1" max="2"' in part
    assert "<html" not in part

    Job.objects.filter(pk=job.pk).update(status="failed", error="ValueError: no", finished_at=timezone.now())
    part = page_of(browser, address, headers=HTMX)
    assert "ValueError: no" in part
    assert "data-hx-get" not in part


def test_a_poll_reads_out_only_what_has_changed(browser, ada):
    job = written(ada, status="running")
    [address] = re.findall(r'data-hx-get="(.*?)"', page_of(browser))

    assert 'id="said"' not in page_of(browser, address, headers=HTMX)

    Job.objects.filter(pk=job.pk).update(status="succeeded")
    assert '<p id="said" data-hx-swap-oob="innerHTML">all finished</p>' in page_of(browser, address, headers=HTMX)


def test_a_page_that_polls_after_a_logout_reloads_itself(client):
    for address in ("/jobs/", f"/jobs/{ANY_ID}/"):
        answer = client.get(address, headers=HTMX)
        assert answer.headers["HX-Refresh"] == "true"
        assert answer.content == b""


def test_a_page_of_a_job_that_was_deleted_meanwhile_reloads_itself(browser):
    assert browser.get(f"/jobs/{ANY_ID}/", headers=HTMX).headers["HX-Refresh"] == "true"


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(browser, ada):
    job = written(ada, status="running", done=1, total=2)

    for address in ("/jobs/", f"/jobs/{job.pk}/", "/login/"):
        page = page_of(browser, address)
        assert not re.search(r"""<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:|["'](https?:)?//""", page)


# --- Cancelling and one job ---------------------------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_from_its_page_of_the_list(browser, ada):
    job = written(ada)

    answer = browser.post(f"/jobs/{job.pk}/cancel/", {"page": "3"})

    assert answer.headers["Location"] == f"/jobs/?page=3#job-{job.pk}"
    assert Job.objects.get().status == "cancelled"


def test_a_running_job_is_asked_to_stop_from_its_own_page(browser, ada):
    job = written(ada, status="running")

    answer = browser.post(f"/jobs/{job.pk}/cancel/")

    assert answer.headers["Location"] == f"/jobs/{job.pk}/"
    assert Job.objects.get().cancel_requested
    assert "asked to stop" in page_of(browser, f"/jobs/{job.pk}/")


def test_looking_at_the_address_cancels_nothing(browser, ada):
    job = written(ada)

    assert browser.get(f"/jobs/{job.pk}/cancel/").headers["Location"] == f"/jobs/{job.pk}/"
    assert Job.objects.get().status == "waiting"


@pytest.mark.parametrize("who", ["grace", "staff"])
def test_a_job_of_somebody_else_is_not_found(client, ada, who, request):
    job = with_output(ada)
    waiting = written(ada)
    client.force_login(request.getfixturevalue(who))

    assert client.get(f"/jobs/{job.pk}/").status_code == 404
    assert client.get(f"/jobs/{job.pk}/download/").status_code == 404
    assert client.post(f"/jobs/{waiting.pk}/cancel/").status_code == 404
    assert Job.objects.get(pk=waiting.pk).status == "waiting"


# --- Downloading --------------------------------------------------------------------------------------------------


def test_the_owner_downloads_what_the_job_wrote(browser, ada):
    job = with_output(ada)
    assert f'href="/jobs/{job.pk}/download/"' in page_of(browser)

    answer = browser.get(f"/jobs/{job.pk}/download/")

    assert b"".join(answer) == b"order,amount\n"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="report.csv"'
    assert answer.headers["Content-Type"] == "text/csv"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private"


def test_behind_nginx_the_answer_names_the_file_and_is_empty(browser, ada, settings):
    settings.ACCEL_LOCATION = "/internal/media/"
    job = with_output(ada, "über 100%?.csv")

    answer = browser.get(f"/jobs/{job.pk}/download/")

    assert answer.content == b""
    stored = PurePath(job.output.name).name
    assert answer.headers["X-Accel-Redirect"] == f"/internal/media/jobs/{job.pk}/1/{quote(stored)}"
    assert answer.headers["X-Accel-Redirect"].isascii()
    assert answer.headers["Content-Disposition"] == f"attachment; filename*=utf-8''{quote(stored)}"
    assert answer.headers["Content-Type"] == "text/csv"
    assert answer.headers["Cache-Control"] == "private"


def test_a_job_without_a_file_has_no_download(browser, ada):
    gone = with_output(ada)
    default_storage.delete(gone.output.name)
    jobs = [written(ada, status="succeeded"), with_output(ada, status="failed"), gone]

    assert [browser.get(f"/jobs/{job.pk}/download/").status_code for job in jobs] == [404, 404, 404]


@pytest.mark.parametrize("name", ["data", "report.csv.gz"])
def test_a_file_of_no_known_type_is_sent_as_bytes(browser, ada, name):
    job = with_output(ada, name)

    assert browser.get(f"/jobs/{job.pk}/download/").headers["Content-Type"] == "application/octet-stream"


# --- The admin ----------------------------------------------------------------------------------------------------


@pytest.fixture
def admin(client, staff):
    client.force_login(staff)
    return client


def act(admin, action, jobs) -> str:
    chosen = {"action": action, "_selected_action": [job.pk for job in jobs]}
    return text_of(admin.post(ADMIN_LIST, chosen, follow=True))


def test_the_admin_finds_jobs(admin, ada, grace):
    failed = written(ada, status="failed", error="ValueError: no such customer")
    other = written(grace, done=1, total=4, status="running")

    def found(query):
        return re.findall(rf"{ADMIN_LIST}([0-9a-f-]+)/change/", page_of(admin, f"{ADMIN_LIST}?{query}"))

    assert found("status__exact=failed") == [str(failed.pk)]
    assert found("q=customer") == [str(failed.pk)]
    assert found("q=grace") == [str(other.pk)]
    assert found(f"q={failed.pk}") == [str(failed.pk)]
    page = page_of(admin, ADMIN_LIST)
    assert "25 %" in page
    assert all(f"By {name}" in page for name in ("status", "kind", "created at"))


def test_the_admins_list_takes_no_query_a_job(admin, ada, grace):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            page_of(admin, ADMIN_LIST)
        return len(captured)

    written(ada)
    single = queries()
    for minutes in range(10):
        written([ada, grace][minutes % 2], minutes=minutes)

    assert queries() == single


def test_nobody_adds_or_edits_a_job_in_the_admin(admin, ada):
    job = written(ada)
    address = reverse("admin:jobs_job_change", args=[job.pk])

    assert admin.get(reverse("admin:jobs_job_add")).status_code == 403
    assert 'name="status"' not in page_of(admin, address)
    assert admin.post(address, {"status": "succeeded"}).status_code == 403
    assert Job.objects.get().status == "waiting"


def test_staff_retry_what_has_failed_or_was_cancelled(admin, ada):
    jobs = [written(ada, status=status) for status in ("failed", "cancelled", "succeeded", "running")]

    assert "2 of 4 wait for a worker again." in act(admin, "retry", jobs)
    assert [Job.objects.get(pk=job.pk).status for job in jobs] == ["waiting", "waiting", "succeeded", "running"]


def test_retrying_a_kind_that_is_gone_says_so(admin, ada):
    jobs = [written(ada, status="failed", kind="gone"), written(ada, status="failed")]

    page = act(admin, "retry", jobs)

    assert "1 of 2 wait for a worker again." in page
    assert "No function with @job is called gone." in page


def test_staff_cancel_what_is_unfinished(admin, ada):
    before = ["waiting", "waiting", "running", "succeeded", "cancelled"]
    jobs = [written(ada, status=status) for status in before]

    assert "2 of 5 cancelled, 1 asked to stop." in act(admin, "cancel", jobs)
    after = ["cancelled", "cancelled", "running", "succeeded", "cancelled"]
    assert [Job.objects.get(pk=job.pk).status for job in jobs] == after


def test_staff_who_may_only_look_neither_retry_nor_cancel(client, ada, grace):
    job = written(ada)
    grace.is_staff = True
    grace.save()
    grace.user_permissions.add(Permission.objects.get(codename="view_job"))
    client.force_login(grace)

    assert 'value="cancel"' not in page_of(client, ADMIN_LIST)
    act(client, "cancel", [job])
    assert Job.objects.get().status == "waiting"


def test_staff_delete_a_running_job_and_its_worker_writes_nothing_more(admin, ada):
    job = ledger.claim(written(ada).pk)

    chosen = {"action": "delete_selected", "_selected_action": [job.pk], "post": "yes"}
    admin.post(ADMIN_LIST, chosen)

    assert not Job.objects.exists()
    with pytest.raises(ClaimLost):
        ledger.succeed(job, 9, "", (0, 0, ""))
