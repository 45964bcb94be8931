"""What a request pays for its connection to PostgreSQL: `make bench`

A new one each time, one that is kept and asked whether it still lives (as in production), or one of psycopg's pool. The
same query each time, from as many threads as a process of gunicorn has. Needs Docker; takes a minute.
"""

import os
import subprocess
import sys

from tests.running.ports import free_port
from tests.running.stack import engine_answers
from tests.running.waiting import wait_for

PACKAGES = ["django>=5.2,<5.3", "psycopg[binary,pool]>=3.2,<4"]
POOL = {"pool": {"min_size": 4, "max_size": 4}}
WAYS = {
    "new for each request": {},
    "kept for a minute, with a health check": {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True},
    "from a pool of psycopg": {"OPTIONS": POOL},
    "from a pool, with a health check": {"OPTIONS": POOL, "CONN_HEALTH_CHECKS": True},
}

MEASURE = """
import time
from concurrent.futures import ThreadPoolExecutor
import django
from django.conf import settings
from django.core import signals
from django.db import connection

postgres = {{"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": {port}}}
account = {{"NAME": "postgres", "USER": "postgres", "PASSWORD": "bench"}}
settings.configure(DATABASES={{"default": postgres | account | {options}}})
django.setup()

def request(number):
    began = time.monotonic()
    signals.request_started.send(None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class")
    signals.request_finished.send(None)
    return (time.monotonic() - began) * 1000

with ThreadPoolExecutor(4) as threads:
    list(threads.map(request, range(100)))
    took = sorted(threads.map(request, range(2000)))
print(f"{{took[1000]:.1f}} ms | {{took[1900]:.1f}} ms")
"""


def main() -> None:
    if not engine_answers():
        sys.exit("no Docker engine answers (docker info): this benchmark needs one")
    name, port = f"bench-{os.getpid()}", free_port()
    start = ["docker", "run", "--rm", "--detach", "--name", name, "--publish", f"127.0.0.1:{port}:5432"]
    subprocess.run([*start, "--env", "POSTGRES_PASSWORD=bench", "postgres:18"], check=True, capture_output=True)
    try:
        ready = ["docker", "exec", name, "pg_isready", "--host", "127.0.0.1"]
        wait_for(lambda: subprocess.run(ready, capture_output=True).returncode == 0, "PostgreSQL", seconds=60)
        print("\nwhat a request with one query takes\n\n| connection | p50 | p95 |\n|---|---|---|")
        for way, options in WAYS.items():
            print(f"| {way} | {measured(port, options)} |", flush=True)
    finally:
        subprocess.run(["docker", "stop", name], check=True, capture_output=True)


def measured(port: int, options: dict) -> str:
    """Return milliseconds, p50 and p95, from a process of its own: Django reads its settings once."""
    uv = [sys.executable, "-m", "uv", "run", "--quiet", "--no-project", *(f"--with={name}" for name in PACKAGES)]
    code = MEASURE.format(port=port, options=options)
    return subprocess.run([*uv, "python", "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main()
