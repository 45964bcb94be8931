"""A generated project, running in Docker."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.running.ports import free_port
from tests.running.psql import Ended, Psql, QueryFailed
from tests.running.visitor import Visitor

DIAGNOSIS = Path(__file__).with_name("diagnosis.py")
CELERY_PROCESSES = Path(__file__).with_name("celery_processes.py")


class StackError(AssertionError):
    """The stack does not do what it should; the text says what, and what was found to be the cause."""


def engine_answers() -> bool:
    """Does a Docker engine answer?"""
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def give_to_container_user(folder: Path) -> None:
    """If root runs the tests, give the files to the containers' user, whose ids in .env are then 1000."""
    if os.getuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, 1000, 1000)


class Stack:
    """The project in `folder`, started with `docker compose` under a name and on ports of its own. `files` are the
    compose files, if not those that compose finds by itself.
    """

    def __init__(self, folder: Path, name: str, files: Iterable[str] = ()):
        self.folder = folder
        port = free_port()
        self.environment = os.environ | {
            "COMPOSE_PROJECT_NAME": name,
            "WEB_PORT": str(port),
            "HTTP_PORT": str(port),
            "RABBITMQ_UI_PORT": str(free_port()),
        }
        if files:
            self.environment["COMPOSE_FILE"] = os.pathsep.join(files)
        self.visitor = Visitor(f"http://127.0.0.1:{port}")
        self._psql: dict[str, Psql] = {}  # by database

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess:
        """Run a command in the project's folder, with the environment of this stack."""
        if "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, **options)

    def compose(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess:
        """Run `docker compose` with these arguments. Raises StackError with its output if it fails and `check`."""
        done = self.run("docker", "compose", *arguments, **options)
        if check and done.returncode:
            raise StackError(f"docker compose {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}")
        return done

    def up(self, seconds: int = 180, services: Iterable[str] = ()) -> None:
        """Build and start everything, or these services and what they depend on. Raises StackError with the diagnosis
        if it is not healthy after `seconds`.
        """
        wait = ["--wait", "--wait-timeout", str(seconds)]
        done = self.compose("up", "--build", "--detach", *wait, *services, check=False)
        # Compose may return 0 when the time is over between two of its looks, so the answer is not taken on trust.
        waiting = self.not_healthy()
        if done.returncode or waiting:
            tail = "\n".join(done.stderr.splitlines()[-15:])
            raise StackError(f"the stack did not become healthy ({', '.join(waiting)}): {self.diagnosis()}\n{tail}")

    def not_healthy(self) -> list[str]:
        """Return the running services that their health checks don't call healthy."""
        states = self.compose("ps", "--format", "{{.Service}} {{.Health}}").stdout.splitlines()
        return [service for service, health in (state.split(" ", 1) for state in states) if health != "healthy"]

    def down(self) -> None:
        """Stop everything and delete its data and its images. Their layers stay in the cache for the next stack."""
        self.close_psql()
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")
        self.run("docker", "image", "rm", "--force", self.image("development"), self.image("latest"))

    def close_psql(self) -> None:
        """Close the connections of sql(). The next query opens a new one."""
        for psql in self._psql.values():
            psql.close()
        self._psql.clear()

    def image(self, tag: str) -> str:
        """Return the name of this stack's own image, as compose.yaml builds it."""
        return f"{self.environment['COMPOSE_PROJECT_NAME']}:{tag}"

    def services(self) -> list[str]:
        """Return the names of the services that the compose files have."""
        return self.compose("config", "--services").stdout.split()

    @property
    def worker(self) -> str:
        """Return the name of the service that works on the queue `default`."""
        return "worker-default" if "worker-default" in self.services() else "worker"

    def logs(self, *services: str) -> str:
        return self.compose("logs", "--no-color", *services).stdout

    def diagnosis(self) -> str:
        """Return what is wrong between web, broker and worker, as seen from web, or why web has not started."""
        if not self.compose("ps", "--quiet", "web").stdout:
            return "web does not run, and the last lines of migrate are\n" + self.logs("--tail", "5", "migrate")
        done = self.compose("exec", "--no-TTY", "web", "python", "-", input=DIAGNOSIS.read_text(), check=False)
        return done.stdout.strip() or f"no cause found\n{done.stderr}"

    def signal(self, service: str, name: str, role: str, how_many: int | None = None) -> list[str]:
        """Send a signal to Celery's "main" process in the service's first container, or to the processes of its "pool",
        all or this many. Return their ids.
        """
        command = ["python", "-", name, role, *([str(how_many)] if how_many else [])]
        done = self.compose("exec", "--no-TTY", service, *command, input=CELERY_PROCESSES.read_text())
        return done.stdout.split()

    def shell(self, code: str) -> str:
        """Run `code` in Django's shell in web's container and return what it prints."""
        command = ["python", "manage.py", "shell", "--verbosity", "0", "--command", code]
        return self.compose("exec", "--no-TTY", "web", *command).stdout.strip()

    def container(self, service: str) -> str:
        """Return the name of the service's first container."""
        return f"{self.environment['COMPOSE_PROJECT_NAME']}-{service}-1"

    def sql(self, query: str, database: str = "") -> list[list[str]]:
        """Return the rows that PostgreSQL answers, as text, from the project's database if no other one is named.
        Raises StackError.
        """
        name = self.folder.name
        database = database or name
        is_new = database not in self._psql
        if is_new:
            self._psql[database] = Psql(self.container("db"), name, database)
        try:
            return [line.split(",") for line in self._psql[database].ask(query)]
        except QueryFailed as error:
            raise StackError(f"{query}:\n{error}") from error
        except Ended as error:
            self._psql.pop(database).close()
            if is_new:
                raise StackError(f"{query}: PostgreSQL does not answer") from error
        return self.sql(query, database)  # PostgreSQL was restarted since the last query

    def redis(self, service: str, *command: str) -> str:
        """Return what a Redis answers. Raises StackError if that is an error. In production its password is in a file,
        in development in the environment.
        """
        ask = f'REDISCLI_AUTH="${{REDISCLI_AUTH:-$(cat /run/secrets/{service}_password)}}" redis-cli -e "$@"'
        # Without Compose, which takes longer than the answer.
        done = self.run("docker", "exec", self.container(service), "sh", "-c", ask, "sh", *command)
        if done.returncode:
            raise StackError(f"redis-cli {' '.join(command)}:\n{done.stdout}\n{done.stderr}")
        return done.stdout.strip()

    def check_add(self) -> None:
        """Send add(4, 5) from web. Raises StackError if a worker does not execute it or 9 does not come back."""
        try:
            task_id = self.visitor.send_add(4, 5)
            result = self.visitor.result(task_id)
        except (AssertionError, OSError) as error:  # OSError: what requests raises
            raise StackError(f"add(4, 5) sent from web brought no result: {self.diagnosis()} ({error})") from error
        if result != "9":
            raise StackError(f"add(4, 5) came back as {result}")
        if f"example.tasks.add[{task_id}] succeeded" not in self.logs(self.worker):
            raise StackError(f"add(4, 5) was not executed by the worker: {self.diagnosis()}")

    def check_tick(self) -> None:
        """Raises StackError if beat's tick is not seen on the page within a minute."""
        try:
            self.visitor.tick()
        except AssertionError as error:
            raise StackError(f"{error}: {self.diagnosis()}\n{self.logs('beat')}") from error

    def check_logs(self) -> None:
        """Raises StackError if a line of any service's log says ERROR, CRITICAL or Traceback."""
        bad = [line for line in self.logs().splitlines() if re.search(r"\b(ERROR|CRITICAL|Traceback)\b", line)]
        if bad:
            raise StackError("the log has errors:\n" + "\n".join(bad))
