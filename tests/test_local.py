"""Without Docker: `make local` needs only Python, and real processes work on a task, on a job and for a foreign app."""

import re
import shutil
from pathlib import Path

import pytest
import requests

from tests.answers import named
from tests.running.editing import replace
from tests.running.local import LocalSite
from tests.running.program import Program
from tests.running.waiting import wait_for

FOREIGN = Path(__file__).with_name("foreign")

WIDGETS = """
from accounts.models import User
from django.core.files.base import ContentFile
from foreign.models import Widget
User.objects.create_user("ada", password="lace and love")
pk = [Widget.objects.create(name=name, manual=ContentFile(b"turn it on", "m.txt")).pk for name in ("a", "b", "c")][-1]
print(pk)
"""


@pytest.fixture(scope="module", params=[{"result_backend": "redis"}, {"result_backend": "django-db"}], ids=named)
def answers(request):
    return request.param


@pytest.fixture(scope="module")
def site(bake_fresh, generated_venv, answers):
    """A started site with the foreign app."""
    folder = bake_fresh(broker="rabbitmq", **answers)
    add_foreign_app(folder)
    site = LocalSite(folder, generated_venv)
    try:
        site.up()
        yield site
    finally:
        site.down()
    assert "Traceback" not in site.log.read_text()


def add_foreign_app(folder: Path) -> None:
    """Do what the tutorials say: copy the app, name it in INSTALLED_APPS, and include its URLs."""
    shutil.copytree(FOREIGN, folder / "foreign", ignore=shutil.ignore_patterns("__pycache__"))
    replace(folder / "config/settings/base.py", '    "example",\n', '    "example",\n    "foreign",\n')
    last = '    path("", include("example.urls")),\n'
    replace(folder / "config/urls.py", last, '    path("foreign/", include("foreign.urls")),\n' + last)


def test_a_task_and_a_job_sent_from_web_are_executed_by_a_worker_process(site, answers):
    task_id = site.visitor.send_add(4, 5)
    assert site.visitor.result(task_id) == "9"
    program = Program.with_new_user(site)
    job = program.submit("build_report", rows=5000)
    wait_for(lambda: program.job(job["url"])["status"] == "succeeded", "the end of the report", seconds=30)
    if answers["result_backend"] == "redis":  # on one site only, because a tick takes half a minute
        site.visitor.tick()
    assert f"example.tasks.add[{task_id}] succeeded" in site.log.read_text()


def test_an_app_written_as_in_the_tutorials_needs_only_two_lines_in_the_project(site):
    widget = site.shell(WIDGETS)
    session, url = requests.Session(), f"{site.visitor.url}/foreign"

    task_id = session.get(f"{url}/count/", timeout=30).json()["task_id"]
    result = wait_for(lambda: ready(session, f"{url}/count/{task_id}/"), "the result of the foreign task", seconds=20)
    assert result["count"] == 3

    refused = session.get(f"{url}/{widget}/manual/", timeout=30)
    assert refused.url.startswith(f"{site.visitor.url}/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', refused.text)[1]
    form = {"csrfmiddlewaretoken": token, "username": "ada", "password": "lace and love"}
    manual = session.post(refused.url, data=form, timeout=30)
    assert manual.content == b"turn it on"
    assert manual.headers["Content-Disposition"].startswith("attachment")


def ready(session: requests.Session, url: str) -> dict:
    """Return what the view says of a task whose result is ready, otherwise None."""
    answer = session.get(url, timeout=30).json()
    return answer if answer["ready"] else None


def test_without_jobs_and_results_a_task_sent_from_web_is_executed_by_a_worker_process(bake_fresh):
    """In an environment that `make local` makes by itself."""
    site = LocalSite(bake_fresh(jobs="none", result_backend="none"))
    try:
        site.up()
        assert site.visitor.result(site.visitor.send_add(4, 5)) == "9"
    finally:
        site.down()
    assert "Traceback" not in site.log.read_text()
