"""How long a person waits for a report that is a job, and for one that is built in the request: `make bench`

The same report (the function `build_report` of the generated project), the same image, the same machine. The stack runs
as in production: nginx, gunicorn, PostgreSQL, the default broker. Needs Docker; takes some minutes.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from cookiecutter.main import cookiecutter

from tests.answers import TEMPLATE
from tests.running import server
from tests.running.program import Program
from tests.running.stack import Stack, engine_answers
from tests.running.waiting import wait_for

ROWS = 200_000
REQUESTS = 60  # for each way of building the report, and each number of clients
CLIENTS = [1, 4]

# A view that builds the same report inside the request. The generated project has no such view.
INLINE = """
from rest_framework.decorators import api_view
from rest_framework.response import Response

from example.jobs import build_report


@api_view(["POST"])
def inline(request):
    return Response(build_report(rows=int(request.data["arguments"]["rows"])))


urlpatterns += [path("inline/", inline)]
"""


def main() -> None:
    if not engine_answers():
        sys.exit("no Docker engine answers (docker info): this benchmark needs one")
    with tempfile.TemporaryDirectory() as folder:
        project = Path(cookiecutter(str(TEMPLATE), no_input=True, output_dir=folder))
        with (project / "config/urls.py").open("a") as urls:
            urls.write(INLINE)
        settings = project / "config/settings/prod.py"
        settings.write_text(
            settings.read_text() + 'REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] = {"user": None, "submit": None}\n'
        )
        server.prepare(project)
        stack = Stack(project, f"bench-{os.getpid()}", server.FILES)
        try:
            stack.up()
            measure(stack)
        finally:
            stack.down()


def measure(stack: Stack) -> None:
    """Print the table."""
    program = Program.with_new_user(stack)
    server.speak_for(program.session)
    print(f"A report of {ROWS:,} rows, {REQUESTS} requests; what the client waits for, in milliseconds\n")
    print("| clients | built in the request: p50, p95 | submitted as a job: p50, p95 | all done after: request, job |")
    print("|---|---|---|---|")
    for clients in CLIENTS:
        inline, inline_done = load(clients, lambda: post(program, "/inline/", 200))
        began = time.monotonic()
        submitted, _ = load(clients, lambda: post(program, "/api/jobs/", 202))
        wait_for(lambda: not unfinished(stack), "the end of all reports", seconds=900)
        job_done = time.monotonic() - began
        print(
            f"| {clients} | {summary(inline)} | {summary(submitted)} | {inline_done:.0f} s, {job_done:.0f} s |",
            flush=True,
        )


def post(program: Program, path: str, status: int) -> None:
    body = {"kind": "build_report", "arguments": {"rows": ROWS}}
    answer = requests.post(program.url + path, json=body, headers=program.session.headers, timeout=300)
    if answer.status_code != status:
        raise SystemExit(f"{path}: {answer.status_code} {answer.text[:300]}")


def unfinished(stack: Stack) -> bool:
    code = "from jobs.models import Job; print(Job.objects.filter(status__in=['waiting', 'running']).exists())"
    return stack.shell(code) == "True"


def load(clients: int, request: Callable[[], None]) -> tuple[list[float], float]:
    """Send REQUESTS requests, `clients` at a time. Returns the seconds of each, and of all together."""
    request()  # the first one imports and connects

    def timed(_):
        began = time.monotonic()
        request()
        return time.monotonic() - began

    began = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        took = list(pool.map(timed, range(REQUESTS)))
    return took, time.monotonic() - began


def summary(seconds: list[float]) -> str:
    p50, p95 = statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]
    return f"{p50 * 1000:.0f}, {p95 * 1000:.0f}"


if __name__ == "__main__":
    main()
