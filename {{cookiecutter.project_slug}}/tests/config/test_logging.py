"""What production writes to its logs, from a real gunicorn and a real worker: config/settings/logging.py."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support import failing
from tests.support.processes import FAILING, WORKER, get, gunicorn, started
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

FROM_PROXY = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1, 203.0.113.7", "User-Agent": "Test/1.0"}


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """What web and worker wrote while a view sent a task and failed, and that task sent another one and failed."""
    folder = tmp_path_factory.mktemp("logs")
    web, worker = folder / "web.log", folder / "worker.log"
    variables = FAILING | {"CELERY_QUIET": "1"}  # as in the Dockerfile
    with (
        gunicorn(web, **variables) as url,
        started(*WORKER, "--loglevel", "INFO", log=worker, **variables, LOG_LEVEL="ERROR") as process,
    ):
        assert get(url, "/fail/?password=let+me+in", **FROM_PROXY, **{"X-Request-ID": "request-1"}).status == 500
        assert get(url, "/nothing/", **FROM_PROXY, **{"X-Request-ID": "request-2"}).status == 404
        assert get(url, "/file/", **FROM_PROXY).status == 200
        assert get(url, "/plain/", **{"X-Forwarded-For": "203.0.113.7"}).status == 301
        assert [get(url, probe).status for probe in ("/livez", "/readyz")] == [200, 200]
        wait_for(lambda: re.search(r"talk\[\S+\] succeeded", worker.read_text()), "the end of both tasks", seconds=30)
        process.kill()  # a worker needs seconds to stop
    return {"web": web.read_text(), "worker": worker.read_text()}


@pytest.fixture(params=["web", "worker"])
def service(request):
    return request.param


@pytest.fixture
def lines(logs):
    """Return a function that returns the lines of a service that have these fields."""

    def _lines(service, **fields):
        found = [json.loads(line) for line in logs[service].splitlines()]
        return [line for line in found if fields.items() <= line.items()]

    return _lines


def test_each_line_is_a_json_object_with_time_level_logger_and_message(lines, service):
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


def test_a_request_and_the_tasks_that_follow_from_it_share_one_id(lines):
    (view,) = lines("web", level="ERROR")
    (task,) = lines("worker", level="ERROR")
    (from_logger,) = lines("worker", message="said by a logger")
    (from_print,) = lines("worker", message="said by print")
    (from_pool,) = lines("worker", message="said by the pool")

    assert {line["request_id"] for line in (view, task, from_logger, from_print, from_pool)} == {"request-1"}
    assert task["task_name"] == "tests.support.failing.fail"
    assert {line["task_name"] for line in (from_logger, from_print, from_pool)} == {"tests.support.failing.talk"}


def test_a_line_of_the_workers_main_process_says_which_task_it_is_about(lines):
    (task,) = lines("worker", level="ERROR")

    received = f"Task tests.support.failing.fail[{task['task_id']}] received"
    assert lines("worker", message=received, task_id=task["task_id"], task_name="tests.support.failing.fail")


def test_lines_about_a_response_have_the_id_of_its_request(lines):
    (warning,) = lines("web", logger="django.request", level="WARNING")
    (access,) = lines("web", logger="gunicorn.access", status=404)

    assert warning["message"] == "Not Found: /nothing/"
    assert warning["request_id"] == access["request_id"] == "request-2"


def test_gunicorn_writes_a_line_for_each_request_but_not_for_the_probes(lines):
    # gunicorn writes the line after the response, so the order of two lines may change.
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


def test_only_the_proxy_can_say_which_client_sent_a_request(lines):
    (access,) = lines("web", logger="gunicorn.access", path="/plain/")

    assert access["client"] == "127.0.0.1"


def test_no_line_contains_what_may_be_secret(logs, service):
    assert not re.search(r"let.me.in", logs[service])


def test_what_code_passes_as_extra_becomes_a_field(lines):
    assert lines("worker", message="said by a logger", order=5)


def test_gunicorn_writes_as_much_as_the_log_level_asks_for(tmp_path):
    log = tmp_path / "web.log"
    with gunicorn(log, LOG_LEVEL="DEBUG"):
        wait_for(lambda: '"level": "DEBUG", "logger": "gunicorn.error"' in log.read_text(), "a line", seconds=20)
