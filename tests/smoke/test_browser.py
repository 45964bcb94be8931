"""What people do at /jobs/, in a real browser: Debian's Chromium, driven by Playwright. No browser is downloaded.

SCREENSHOTS=docs saves the pictures of the pages that the documentation shows: docs/login-phone.png and so on.
"""

import base64
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Locator, Page, Route, expect, sync_playwright

from tests.running.editing import replace
from tests.running.waiting import wait_for

# Options that keep Chromium from sending requests of its own, and that a container without a desktop needs.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "let me in"
MAKE_USERS = f"""
from accounts.models import User
for name in ["ada", "grace", "mary", "edsger"]:
    User.objects.create_user(name, password={PASSWORD!r})
"""
WIDTHS = {"phone": 390, "desktop": 1000}  # pixels
# Rows of a report. MANY takes some seconds on any machine. ENDLESS takes longer than cancelling it.
MANY, ENDLESS = 2_000_000, 9_000_000
STRICT = "default-src 'none'; form-action 'self'; " + "; ".join(
    f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")
)


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("no chromium on this machine (Debian's package)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def stack(browser, running):
    with running(allow_longer_reports) as stack:
        stack.shell(MAKE_USERS)
        yield stack


@pytest.fixture
def visit(browser, stack) -> Callable:
    """Return a context manager: a page of a fresh browser in which this user has logged in.

    At the end it fails if the browser sent a request to another site, or if the console has an error without `expected`
    in it.
    """

    @contextmanager
    def _visit(name: str, expected: str = "no error", **options) -> Iterator[Page]:
        context = browser.new_context(base_url=stack.visitor.url, **options)
        context.set_default_timeout(20_000)
        asked, errors = [], []
        context.on("request", lambda request: asked.append(request.url))
        context.on("console", lambda message: errors.extend([message.text] if message.type == "error" else []))
        context.on("weberror", lambda error: errors.append(str(error.error)))
        page = context.new_page()
        page.goto("/jobs/")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="Your jobs")).to_be_visible()
        yield page
        assert [url for url in asked if not url.startswith(f"{stack.visitor.url}/")] == []
        assert [text for text in errors if expected not in text] == []
        context.close()

    return _visit


def allow_longer_reports(folder: Path) -> None:
    replace(folder / "example/jobs.py", "max_value=1_000_000)", "max_value=10_000_000)")


def submit(page: Page, kind: str, **fields: FilePayload | str | int) -> Locator:
    """Fill in the form of a kind, send it, and return the new job's row."""
    open_form(page, kind)
    for name, value in fields.items():
        field = page.locator(f"#{kind}-{name}")
        field.set_input_files(value) if isinstance(value, dict) else field.fill(str(value))
    page.get_by_role("button", name=f"Run {kind}").click()
    page.wait_for_url("**/jobs/#job-*")
    return page.locator(f"#{page.url.partition('#')[2]}")


def open_form(page: Page, kind: str) -> None:
    page.locator("summary").filter(has_text=re.compile(rf"^{kind}\b")).click()


def status(row: Locator, word: str) -> None:
    """Wait until the job has this status."""
    expect(row.locator(".status")).to_have_text(word, timeout=60_000)


def bar_between_the_ends(row: Locator) -> None:
    """Wait until the job's bar is neither empty nor full."""
    expect(row.locator("progress[value]:not([value='0'])")).to_be_visible(timeout=60_000)


def picture(page: Page, name: str) -> None:
    """Look at the page on a phone and on a desktop, where nothing may be wider than the screen. Save both pictures if
    SCREENSHOTS names a folder.
    """
    size = page.viewport_size
    for device, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 600})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} on a {device}"
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=Path(folder, f"{name}-{device}.png"), full_page=True)
    page.set_viewport_size(size)


def polls(page: Page, times: int = 1) -> None:
    """Wait until polls have replaced the list `times` times."""
    for _ in range(times):
        before = page.locator("#list").element_handle()
        wait_for(partial(before.evaluate, "element => !element.isConnected"), "a poll", seconds=10)


def test_a_person_submits_a_report_sees_the_bar_move_and_downloads_the_file(visit):
    with visit("ada") as page:
        row = submit(page, "build_report", rows=MANY)
        bar = f"document.querySelector('#{row.get_attribute('id')} progress')?.value"
        seen = set()

        def finished():
            seen.add(page.evaluate(bar))
            return row.get_by_role("link", name="Download").is_visible()

        wait_for(finished, "the end of the report", seconds=60)
        between = sorted(value for value in seen if value and 0 < value < MANY)
        assert len(between) >= 2, f"the bar stood at {seen}"

        with page.expect_download() as download:
            row.get_by_role("link", name="Download").click()
        assert download.value.suggested_filename == "report.csv"
        lines = Path(download.value.path()).read_text().splitlines()
        assert lines[:2] == ["order,date,customer,amount", "1,2020-01-02,customer 31,79.19"]
        assert len(lines) == 1 + MANY
        assert lines[-1].startswith(f"{MANY},")


def test_the_page_asks_no_more_when_all_jobs_have_ended(visit):
    with visit("ada") as page:
        status(submit(page, "power", base=2, exponent=10), "succeeded")
        expect(page.get_by_role("status")).to_have_text("all finished")

        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(3000)
        assert asked == []

        status(submit(page, "power", base=2, exponent=11), "succeeded")


def test_somebody_else_finds_neither_the_job_nor_its_file(visit):
    with visit("ada") as page:
        row = submit(page, "build_report", rows=10)
        status(row, "succeeded")
        job = row.locator(".kind").get_attribute("href")
        assert page.request.get(f"{job}download/").ok

    with visit("grace", expected="404 (Not Found)") as page:
        expect(page.get_by_text("You have no jobs yet.")).to_be_visible()
        assert page.goto(job).status == 404
        assert page.goto(f"{job}download/").status == 404


def test_a_running_job_is_cancelled_from_the_page(visit):
    with visit("ada") as page:
        row = submit(page, "build_report", rows=ENDLESS)
        bar_between_the_ends(row)

        row.get_by_role("button", name="Cancel").click()

        status(row, "cancelled")
        expect(row.get_by_role("link", name="Download")).to_have_count(0)


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_a_button_that_is_pressed_while_the_list_changes_still_works(visit, by):
    with visit("ada") as page:
        row = submit(page, "build_report", rows=ENDLESS)
        bar_between_the_ends(row)

        button = row.get_by_role("button", name="Cancel")
        if by == "mouse":
            button.hover()
            page.mouse.down()
        else:
            button.focus()
            page.keyboard.down(" ")
        for _ in range(2):
            with page.expect_response("**/jobs/?*"):
                pass
        if by == "mouse":
            page.mouse.up()
        else:
            page.keyboard.up(" ")

        status(row, "cancelled")


def test_polling_leaves_forms_and_focus_alone(visit):
    with visit("ada") as page:
        row = submit(page, "build_report", rows=ENDLESS)
        open_form(page, "add")
        page.locator("#add-x").fill("123")
        bar_between_the_ends(row)
        polls(page)
        expect(page.locator("#add-x")).to_be_focused()
        expect(page.locator("#add-x")).to_have_value("123")

        cancel = row.get_by_role("button", name="Cancel")
        cancel.focus()
        polls(page)
        expect(cancel).to_be_focused()
        page.keyboard.press("Enter")
        status(row, "cancelled")


def test_the_page_of_a_job_follows_it_to_its_end(visit):
    with visit("ada") as page:
        submit(page, "build_report", rows=MANY).locator(".kind").click()
        page.wait_for_url("**/jobs/*-*/")
        bar_between_the_ends(page.locator("#detail"))

        status(page.locator("#detail"), "succeeded")
        expect(page.locator("#detail").get_by_role("link", name="Download")).to_be_visible()


def test_the_page_works_under_a_strict_content_security_policy(visit):
    def add_policy(route: Route):
        answer = route.fetch()
        route.fulfill(response=answer, headers=answer.headers | {"content-security-policy": STRICT})

    with visit("ada") as page:
        row = submit(page, "build_report", rows=ENDLESS)
        page.route("**/jobs/", add_policy)
        assert page.goto("/jobs/").headers["content-security-policy"] == STRICT

        bar_between_the_ends(row)
        polls(page, times=2)
        row.get_by_role("button", name="Cancel").click()
        status(row, "cancelled")


def test_without_javascript_a_reload_brings_the_result(visit):
    with visit("ada", java_script_enabled=False) as page:
        row = submit(page, "power", base=2, exponent=20)

        def shown():
            page.get_by_role("link", name="Reload").click()
            return row.get_by_text("1048576").is_visible()

        wait_for(shown, "the result", seconds=20)


def test_a_phone_scrolls_in_one_direction_only(visit):
    with visit("ada", viewport={"width": 360, "height": 740}) as page:
        job = submit(page, "power", base=1000, exponent=1000).locator(".kind").get_attribute("href")
        for address in ("/jobs/", job, "/", "/password/change/", "/password/reset/"):
            page.goto(address)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, address


def test_log_in_and_home_fit_on_a_phone_and_on_a_desktop(visit, stack):
    with visit("ada") as page:
        page.goto("/")
        page.get_by_role("button", name="Send to a worker").click()
        expect(page.locator("output")).to_have_text("9")
        picture(page, "home")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Password")).to_be_visible()
        picture(page, "login")


def test_a_person_changes_the_password_and_logs_in_with_it(visit):
    changed = "correct horse battery"
    with visit("edsger") as page:
        page.get_by_role("link", name="edsger").click()
        page.get_by_label("Old password").fill(PASSWORD)
        page.get_by_label("New password:", exact=True).fill(changed)
        page.get_by_label("New password confirmation").fill(changed)
        page.get_by_role("main").get_by_role("button").click()
        page.wait_for_url("**/password/change/done/")

        page.get_by_role("button", name="Log out").click()
        page.get_by_label("Username").fill("edsger")
        page.get_by_label("Password").fill(changed)
        page.get_by_role("button", name="Log in").click()

        expect(page.get_by_role("heading", name="Your jobs")).to_be_visible()


def test_nothing_of_all_this_logged_an_error(stack):
    stack.check_logs()


def test_the_list_shows_how_each_job_ended(visit, stack):
    """This is the last test, because a job that fails logs an error."""
    half_a_picture = """
import base64, io
from PIL import Image
file = io.BytesIO()
Image.effect_noise((200, 200), 50).save(file, "JPEG")
print(base64.b64encode(file.getvalue()[:9000]).decode())
"""
    content = base64.b64decode(stack.shell(half_a_picture))
    jpeg: FilePayload = {"name": "scan.jpg", "mimeType": "image/jpeg", "buffer": content}
    with visit("mary", viewport={"width": 1000, "height": 600}) as page:
        cancelled = submit(page, "build_report", rows=ENDLESS)
        bar_between_the_ends(cancelled)
        cancelled.get_by_role("button", name="Cancel").click()
        status(cancelled, "cancelled")
        failed = submit(page, "convert_image", image=jpeg)
        status(failed, "failed")
        succeeded = submit(page, "build_report", rows=20_000)
        status(succeeded, "succeeded")
        running = submit(page, "build_report", rows=MANY)
        bar_between_the_ends(running)

        expect(failed).to_contain_text("OSError: image file is truncated")
        expect(succeeded).to_contain_text("rows = 20000")
        expect(page.get_by_role("status")).to_have_text("1 unfinished")
        polls(page, times=2)
        picture(page, "jobs")
