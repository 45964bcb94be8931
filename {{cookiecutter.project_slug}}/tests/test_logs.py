"""What production writes to its logs, by a real gunicorn and a real worker; and the id of a request: ops/logs.py."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from celery import shared_task
from celery.signals import task_postrun, task_prerun

from ops.logs import REQUEST_ID
from tests import failing
from tests.processes import get, gunicorn, started
from tests.waiting import wait_for

WORKER = ["celery", "-A", "config", "worker", "--concurrency", "1", "--without-gossip", "--without-mingle"]
BY_PROXY = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1, 203.0.113.7", "User-Agent": "Test/1.0"}


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """What web and worker wrote, while a view failed that had sent a task that failed after it had sent another one."""
    folder = tmp_path_factory.mktemp("logs")
    web, worker = folder / "web.log", folder / "worker.log"
    variables = {
        "DJANGO_SETTINGS_MODULE": "tests.production",
        "TASK_BROKER_URL": "filesystem://",
        "CELERY_QUIET": "1",  # as in the Dockerfile
        "PYTHONWARNINGS": "ignore",  # Celery's about root, who runs the tests of some
    }
    with (
        gunicorn(web, **variables) as address,
        started(*WORKER, "--loglevel", "INFO", log=worker, **variables, LOG_LEVEL="ERROR") as process,
    ):
        assert get(address, "/fail/?password=let+me+in", **BY_PROXY, **{"X-Request-ID": "request-1"}).status == 500
        assert get(address, "/nothing/", **BY_PROXY, **{"X-Request-ID": "request-2"}).status == 404
        assert get(address, "/file/", **BY_PROXY).status == 200
        assert get(address, "/plain/", **{"X-Forwarded-For": "203.0.113.7"}).status == 301
        assert [get(address, probe).status for probe in ("/livez", "/readyz")] == [200, 200]
        wait_for(lambda: re.search(r"talk\[\S+\] succeeded", worker.read_text()), "the end of both tasks", seconds=30)
        process.kill()  # a worker needs seconds to stop
    return {"web": web.read_text(), "worker": worker.read_text()}


@pytest.fixture(params=["web", "worker"])
def service(request):
    return request.param


@pytest.fixture
def lines(logs):
    """Return a function: the lines of a service, only those that have these fields."""

    def _lines(service, **fields):
        found = [json.loads(line) for line in logs[service].splitlines()]
        return [line for line in found if fields.items() <= line.items()]

    return _lines


def test_each_line_is_an_object_that_says_when_how_grave_by_whom_and_what(lines, service):
    assert len(lines(service)) > 3
    for line in lines(service):
        assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)
        assert line["level"] in {"INFO", "WARNING", "ERROR", "CRITICAL"}
        assert line["logger"]
        assert line["message"]


def test_an_error_is_logged_once_with_its_traceback(lines, service):
    (error,) = lines(service, level="ERROR")

    assert error["traceback"].startswith("Traceback")
    what = {"web": "view", "worker": "task"}[service]
    assert error["traceback"].count(f"ValueError: the {what} failed") == 1
    assert [line for line in lines(service) if "traceback" in line] == [error]


def test_a_request_and_the_tasks_that_follow_from_it_have_one_id(lines):
    (view,) = lines("web", level="ERROR")
    (task,) = lines("worker", level="ERROR")
    (by_logger,) = lines("worker", message="said by a logger")
    (by_print,) = lines("worker", message="said by print")
    (by_pool,) = lines("worker", message="said by the pool")

    assert {line["request_id"] for line in (view, task, by_logger, by_print, by_pool)} == {"request-1"}
    assert task["task_name"] == "tests.failing.fail"
    assert {line["task_name"] for line in (by_logger, by_print, by_pool)} == {"tests.failing.talk"}


def test_a_line_of_the_workers_main_process_says_which_task_it_is_about(lines):
    (task,) = lines("worker", level="ERROR")

    received = f"Task tests.failing.fail[{task['task_id']}] received"
    assert lines("worker", message=received, task_id=task["task_id"], task_name="tests.failing.fail")


def test_lines_about_an_answer_have_the_id_of_its_request(lines):
    (warning,) = lines("web", logger="django.request", level="WARNING")
    (access,) = lines("web", logger="gunicorn.access", status=404)

    assert warning["message"] == "Not Found: /nothing/"
    assert warning["request_id"] == access["request_id"] == "request-2"


def test_gunicorn_writes_a_line_for_each_request_but_not_for_the_probes(lines):
    # gunicorn writes a line after its answer, so those of two requests may change places.
    answered = {line["path"]: line for line in lines("web", logger="gunicorn.access")}
    failed = answered["/fail/"]

    assert set(answered) == {"/fail/", "/nothing/", "/file/", "/plain/"}
    assert failed.pop("time")
    assert isinstance(failed.pop("duration_ms"), int)
    assert failed.pop("bytes") > 0
    assert failed == {
        "level": "INFO",
        "logger": "gunicorn.access",
        "message": "GET /fail/ 500",
        "method": "GET",
        "path": "/fail/",
        "status": 500,
        "client": "203.0.113.7",
        "user_agent": "Test/1.0",
        "request_id": "request-1",
    }


def test_the_bytes_of_a_file_are_counted(lines):
    (access,) = lines("web", logger="gunicorn.access", path="/file/")

    assert access["bytes"] == Path(failing.__file__).stat().st_size


def test_only_the_proxy_is_believed_whose_request_it_is(lines):
    (access,) = lines("web", logger="gunicorn.access", path="/plain/")

    assert access["client"] == "127.0.0.1"


def test_what_may_be_secret_is_in_no_line(logs, service):
    assert not re.search(r"let.me.in", logs[service])


def test_what_code_adds_to_a_line_is_a_field_of_it(lines):
    assert lines("worker", message="said by a logger", order=5)


def test_gunicorn_writes_as_much_as_the_log_level_asks_for(tmp_path):
    log = tmp_path / "web.log"
    with gunicorn(log, LOG_LEVEL="DEBUG"):
        wait_for(lambda: '"level": "DEBUG", "logger": "gunicorn.error"' in log.read_text(), "a line", seconds=20)


# --- The id of a request ---------------------------------------------------------------------------------------------


def test_an_answer_says_the_id_that_the_proxy_gave_the_request(client):
    assert client.get("/livez", headers={"X-Request-ID": "Request-1"}).headers["X-Request-ID"] == "Request-1"


@pytest.mark.parametrize("sent", [None, "", "a" * 65, "two words", "é", '"}', "1_2"])
def test_a_request_without_a_valid_id_gets_one(client, sent):
    headers = {} if sent is None else {"X-Request-ID": sent}

    ids = {client.get("/livez", headers=headers).headers["X-Request-ID"] for _ in range(2)}

    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in ids)


def test_after_a_request_its_id_is_forgotten(client):
    client.get("/livez")

    assert REQUEST_ID.get() == ""


@shared_task
def request_id() -> str:
    """Return the id of the request that the task works for."""
    return REQUEST_ID.get()


def test_a_task_in_its_senders_process_works_for_the_same_request():
    token = REQUEST_ID.set("request-1")
    try:
        assert request_id.apply().get() == "request-1"
        assert REQUEST_ID.get() == "request-1"
    finally:
        REQUEST_ID.reset(token)


def test_a_worker_forgets_the_request_after_its_task():
    request_id.push_request(is_eager=False, request_id="request-1")
    try:
        task_prerun.send(sender=request_id, task=request_id)
        assert REQUEST_ID.get() == "request-1"

        task_postrun.send(sender=request_id, task=request_id)
        assert REQUEST_ID.get() == ""
    finally:
        request_id.pop_request()
