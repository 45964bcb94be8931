"""gunicorn as the image starts it: config/gunicorn.py."""

import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from config import gunicorn as options
from tests.support.processes import HOST, environment, get, gunicorn
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

PATH = "/nothing-here/"
TLS = {"X-Forwarded-Proto": "https"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gunicorn")


@pytest.fixture(scope="module")
def web(folder):
    """The URL of a gunicorn that trusts this machine as its proxy."""
    with gunicorn(folder / "web.log") as url:
        yield url


def test_a_request_is_secure_if_the_proxy_says_so(web):
    assert get(web, PATH, **TLS).status == 404


def test_any_other_request_is_redirected_to_the_url_with_tls(web):
    assert get(web, PATH).headers["Location"] == f"https://{HOST}{PATH}"
    assert get(web, PATH, **{"X-Forwarded-Proto": "http"}).status == 301


@pytest.mark.parametrize("header", [{"X-Forwarded-Protocol": "ssl"}, {"X-Forwarded-Ssl": "on"}])
def test_no_header_but_x_forwarded_proto_makes_a_request_secure(web, header):
    assert get(web, PATH, **header).status == 301


def test_only_the_proxy_can_say_that_a_request_is_secure(tmp_path):
    with gunicorn(tmp_path / "web.log", FORWARDED_ALLOW_IPS="192.0.2.1") as web:
        assert get(web, PATH, **TLS).status == 301


def test_a_response_does_not_name_the_server(web):
    assert "Server" not in get(web, PATH, **TLS).headers


def test_a_request_that_cannot_be_understood_is_refused_and_logged(web, folder):
    response = get(web, PATH, host=HOST)  # sends Host a second time

    assert response.status == 400
    assert "Server" not in response.headers
    assert f'"GET {PATH} 400"' in (folder / "web.log").read_text()


def test_the_health_check_of_web_finds_it_ready(web):
    port = str(urlsplit(web).port)

    probe = [sys.executable, "-IS", "ops/web/probe.py", port]
    subprocess.run(probe, cwd=settings.BASE_DIR, check=True, timeout=30)  # noqa: S603  the test wrote the command


def test_web_cpus_says_how_many_processes_there_are(tmp_path):
    log = tmp_path / "web.log"
    with gunicorn(log, WEB_CPUS="3"):
        wait_for(lambda: log.read_text().count("Booting worker") == 3, "three processes", seconds=20)


def test_a_process_has_the_number_of_threads_for_which_connections_are_counted():
    assert options.threads == settings.WEB_THREADS


def test_gunicorn_ends_at_once_and_says_why_if_a_variable_is_missing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--config", "python:config.gunicorn", "config.wsgi"],
        cwd=settings.BASE_DIR,
        env={name: value for name, value in environment(tmp_path).items() if name != "SECRET_KEY"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 3
    assert done.stderr == "SECRET_KEY is not set: 50 or more random characters; it signs sessions\n"
