"""Production as an operator starts it: compose.yaml and compose.prod.yaml, behind nginx or a load balancer."""

import json
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.answers import every, every_pair, named
from tests.running.ports import free_port
from tests.running.server import DOMAIN, log_in
from tests.running.stack import Stack
from tests.running.waiting import wait_for

STORES = {"db", "cache", "redis", "rabbitmq"}
LIMIT = 10 * 2**20  # bytes: MAX_BODY_BYTES

# Prints the user's id, how many of two files can't be written, and whether processes have or can gain privileges.
RIGHTS = r"""
id -u
touch /etc/file /file 2>&1 | grep -c 'Read-only file system'
grep -E '^(CapBnd|NoNewPrivs)' /proc/self/status | tr -d '\n'
"""


@pytest.fixture(scope="module", params=every("broker", "web_proxy"), ids=named)
def answers(request):
    return request.param


@pytest.fixture(scope="module")
def stack(running, answers):
    with running(production=True, **answers) as stack:
        log_in(stack, stack.visitor.session, "staff", staff=True)
        yield stack


@pytest.fixture
def behind_nginx(answers):
    if answers["web_proxy"] != "nginx":
        pytest.skip("concerns nginx only")


def ours(stack: Stack) -> list[str]:
    return sorted(set(stack.compose("ps", "--services").stdout.split()) - STORES)


def style(stack: Stack) -> str:
    """Return the path of the page's style, whose name follows from its content."""
    return re.search(r'href="(/static/[^"]+\.[0-9a-f]{12}\.css)"', stack.visitor.page())[1]


def test_a_task_sent_from_the_page_comes_back_and_no_log_has_an_error(stack):
    stack.check_add()
    stack.check_logs()


def test_our_processes_are_not_root_have_a_read_only_file_system_and_no_capabilities(stack):
    for service in ours(stack):
        user, unwritable, status = stack.compose("exec", "--no-TTY", service, "sh", "-c", RIGHTS).stdout.splitlines()
        assert user != "0", service
        assert unwritable == "2", service
        assert re.fullmatch(r"CapBnd:\s*0+NoNewPrivs:\s*1", status), f"{service}: {status}"


def test_only_one_service_publishes_a_port_which_is_nginx_or_else_web(stack, answers):
    services = map(json.loads, stack.compose("ps", "--format", "json").stdout.splitlines())
    published = [it["Service"] for it in services if any(port["PublishedPort"] for port in it["Publishers"])]

    assert published == ["nginx" if answers["web_proxy"] == "nginx" else "web"]


def test_stores_have_no_route_out(stack):
    for service in set(stack.compose("ps", "--services").stdout.split()) & STORES:
        routes = stack.compose("exec", "--no-TTY", service, "cat", "/proc/net/route").stdout.splitlines()[1:]
        assert routes, service
        assert "00000000" not in {route.split()[1] for route in routes}, service


def test_no_container_shows_a_secret_in_its_environment(stack):
    files = [file.read_text() for file in (stack.folder / "secrets").iterdir()]
    secrets = [secret for secret in files if secret]  # email_password may be empty
    containers = stack.compose("ps", "--all", "--quiet").stdout.split()
    shown = subprocess.run(["docker", "inspect", *containers], capture_output=True, text=True, check=True).stdout

    assert len(secrets) >= 4
    assert [secret for secret in secrets if secret in shown] == []


def test_another_host_name_is_refused(stack):
    answer = stack.visitor.session.get(stack.visitor.url, headers={"Host": "evil.example"}, timeout=30)

    assert answer.status_code == 400


def test_a_browser_without_tls_is_sent_to_https(stack):
    answer = requests.get(stack.visitor.url, headers={"Host": DOMAIN}, allow_redirects=False, timeout=30)

    assert (answer.status_code, answer.headers["Location"]) == (301, f"https://{DOMAIN}/")


def test_the_log_has_the_address_and_the_request_id_that_the_load_balancer_told(stack):
    headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7", "X-Request-ID": "from-the-balancer"}
    answer = stack.visitor.session.get(stack.visitor.url, headers=headers, timeout=30)

    assert answer.headers["X-Request-ID"] == "from-the-balancer"
    # gunicorn writes it after the answer
    line = wait_for(lambda: re.search('{.*"from-the-balancer".*}', stack.logs("web")), "the line of the request", 10)[0]
    assert json.loads(line)["client"] == "203.0.113.7"


def test_no_answer_names_gunicorn_or_a_version(stack):
    server = stack.visitor.session.get(stack.visitor.url, timeout=30).headers.get("Server")

    assert server in {None, "nginx"}


def test_static_files_may_be_kept_for_ever(stack):
    answer = stack.visitor.session.get(stack.visitor.url + style(stack), timeout=30)

    assert answer.status_code == 200
    assert answer.headers["Content-Encoding"] == "gzip"
    kept = re.fullmatch(r"(?:public, )?max-age=(\d+), (?:public, )?immutable", answer.headers["Cache-Control"])
    assert int(kept[1]) >= 365 * 24 * 3600


def test_a_report_is_sent_to_its_owner_only(stack):
    """In a project with nginx, nginx sends the file. Nobody else gets it by guessing its internal URL."""
    with requests.Session() as session:
        log_in(stack, session, "ada")
        job = stack.shell(
            "from accounts.models import User; from jobs import submit; "
            "print(submit('build_report', rows=10, owner=User.objects.get(username='ada')).pk)"
        )
        status = f"SELECT status FROM jobs_job WHERE id = '{job}'"
        this = f"from jobs.models import Job; job = Job.objects.get(pk={job!r}); "
        wait_for(lambda: stack.sql(status) == [["succeeded"]], "the end of the report", seconds=30)
        path = stack.shell(this + "print(job.output.name)")

        answer = session.get(f"{stack.visitor.url}/jobs/{job}/download/", timeout=30)
        guessed = session.get(f"{stack.visitor.url}/internal/media/{path}", timeout=30)

    assert len(answer.text.splitlines()) == 11
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "X-Accel-Redirect" not in answer.headers
    assert guessed.status_code == 404
    assert stack.visitor.session.get(f"{stack.visitor.url}/jobs/{job}/download/", timeout=30).status_code == 404


def test_a_body_over_the_limit_is_refused_with_a_page_that_says_so(stack):
    answer = stack.visitor.session.post(f"{stack.visitor.url}/add/", data=b"x" * (LIMIT + 1), timeout=60)

    assert answer.status_code == 413
    assert "10 MB" in answer.text


def test_slow_clients_keep_nobody_out(stack, answers):
    """With nginx: 500 connections that send nothing, and 500 that send half a request. Without nginx: only 3 that send
    half a request, because each occupies one of the 4 threads of a gunicorn process. There, waiting for the other half
    is the load balancer's work.
    """
    port = int(stack.visitor.url.rpartition(":")[2])
    silent, halves = (500, 500) if answers["web_proxy"] == "nginx" else (0, 3)
    slow = []
    try:
        for said in [b""] * silent + [b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Slow: "] * halves:
            slow.append(socket.create_connection(("127.0.0.1", port), timeout=5))
            slow[-1].sendall(said)
        # With a connection of its own: gunicorn may be closing the one on which a body was refused before.
        assert requests.get(stack.visitor.url, headers=stack.visitor.session.headers, timeout=30).status_code == 200
    finally:
        for connection in slow:
            connection.close()


def test_nginx_has_nothing_to_say_about_its_configuration(stack, behind_nginx):
    done = stack.compose("exec", "--no-TTY", "nginx", "nginx", "-t")

    assert "test is successful" in done.stderr
    assert "warn" not in done.stderr


def test_a_release_by_the_lines_of_the_documentation_interrupts_nobody(stack, behind_nginx):
    page = (stack.folder / "docs/production.md").read_text()
    lines = re.search(r"(?m)(^    docker compose build\n(?:    .+\n)+)", page)[1]
    before = stack.compose("ps", "--quiet", "web", "nginx").stdout.split()
    with (stack.folder / "jobs/views.py").open("a") as code:
        code.write("\n# a new line\n")

    with watching(stack) as answers:
        stack.run("sh", "-euc", lines, check=True)

    after = stack.compose("ps", "--quiet", "web", "nginx").stdout.split()
    assert len(after) == 2
    assert len(set(before) & set(after)) == 1  # nginx stays
    assert len(answers) > 100
    assert set(answers) == {200}


@contextmanager
def watching(stack: Stack) -> Iterator[list[int | str]]:
    """Ask for the page from four threads all the time. Yields a list of what came: a status, or what went wrong."""
    over = threading.Event()
    answers: list[int | str] = []

    def watch():
        while not over.wait(0.01):
            try:
                answer = requests.get(stack.visitor.url, headers=stack.visitor.session.headers, timeout=30)
                answers.append(answer.status_code)
            except requests.RequestException as error:
                answers.append(type(error).__name__)

    with ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            threads.submit(watch)
        try:
            yield answers
        finally:
            over.set()


def test_a_page_from_before_a_release_still_finds_its_files(stack, behind_nginx):
    path = style(stack)
    with (stack.folder / "static/site/site.css").open("a") as file:
        file.write("\n/* a new line */\n")

    stack.compose("up", "--detach", "--build", "--wait")

    wait_for(lambda: stack.visitor.session.get(stack.visitor.url, timeout=30).ok, "the page", seconds=30)
    assert style(stack) != path
    assert stack.visitor.session.get(stack.visitor.url + path, timeout=30).status_code == 200


def test_with_a_certificate_nginx_speaks_tls_and_sends_everybody_there(stack, behind_nginx):
    """This is the last test about nginx, because it replaces nginx's container with one for TLS, and then goes back."""
    make_certificate(stack.folder)
    port = free_port()
    files = os.pathsep.join([stack.environment["COMPOSE_FILE"], "compose.tls.yaml"])
    tls = {"COMPOSE_FILE": files, "HTTPS_PORT": str(port), "TLS_CERTIFICATE": "./tls.pem", "TLS_KEY": "./tls.key"}
    plain, stack.environment = stack.environment, stack.environment | tls
    try:
        stack.compose("up", "--detach", "--no-deps", "--wait", "nginx")
        checked = stack.compose("exec", "--no-TTY", "nginx", "nginx", "-t").stderr
        page = requests.get(
            f"https://127.0.0.1:{port}/", headers={"Host": DOMAIN}, verify=stack.folder / "tls.pem", timeout=30
        )
        with pytest.raises(ssl.SSLError):
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                old.wrap_socket(connection)
        answer = requests.get(stack.visitor.url, headers={"Host": DOMAIN}, allow_redirects=False, timeout=30)
    finally:
        stack.environment = plain
        stack.compose("up", "--detach", "--no-deps", "--wait", "nginx")

    assert "test is successful" in checked
    assert "warn" not in checked
    assert page.status_code == 200
    assert page.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert (answer.status_code, answer.headers["Location"]) == (301, f"https://{DOMAIN}/")


def make_certificate(folder: Path) -> None:
    """Make tls.pem and tls.key, for 127.0.0.1, readable for the user of nginx."""
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    who = ["-subj", f"/CN={DOMAIN}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*new, *who, "-out", "tls.pem", "-keyout", "tls.key"], cwd=folder, check=True, capture_output=True)
    (folder / "tls.key").chmod(0o644)


def test_compose_has_nothing_to_say_about_its_files(docker, bake):
    development, production = ["compose.yaml", "compose.override.yaml"], ["compose.yaml", "compose.prod.yaml"]
    config = ["docker", "compose", "config", "--quiet"]
    for answers in every_pair():
        project = bake(**answers)
        for names in [development, production, [*production, "compose.tls.yaml"]]:
            if all((project / name).exists() for name in names):
                it = os.environ | {"COMPOSE_FILE": os.pathsep.join(names), "TLS_CERTIFICATE": "./a", "TLS_KEY": "./b"}
                done = subprocess.run(config, cwd=project, env=it, capture_output=True, text=True)
                assert (done.returncode, done.stderr) == (0, ""), f"{names} {answers}"


def test_docker_has_nothing_to_say_about_the_dockerfile(stack):
    stack.run("docker", "buildx", "build", "--check", ".", check=True)


def test_a_backup_brings_back_what_was_there(stack):
    users = "from accounts.models import User; print(User.objects.filter(username='grace').count())"
    stack.shell("from accounts.models import User; User.objects.create_user('grace')")
    done = stack.run("make", "backup", check=True)
    file = re.search(r"backups/\S+\.dump", done.stdout)[0]
    stack.shell("from accounts.models import User; User.objects.get(username='grace').delete()")
    assert stack.shell(users) == "0"

    broken = stack.folder / "backups/broken.dump"
    broken.write_bytes((stack.folder / file).read_bytes()[:-1000])
    assert stack.run("make", "restore", f"FILE={broken}").returncode != 0
    assert stack.shell(users) == "0"  # nothing was touched

    stack.close_psql()  # PostgreSQL can't rename a database while a client is connected to it
    stack.run("make", "restore", f"FILE={file}", check=True)
    assert stack.shell(users) == "1"
    stack.check_add()


def test_a_missing_secret_stops_the_start_with_a_line_that_names_it(stack):
    secret = stack.folder / "secrets/cache_password"
    kept = secret.rename(secret.with_name("elsewhere"))
    try:
        done = stack.compose("up", "--detach", "--force-recreate", "cache", check=False)
    finally:
        kept.rename(secret)
    stack.compose("up", "--detach", "--wait")

    assert done.returncode != 0
    assert "secrets/cache_password" in done.stderr.splitlines()[-1]
