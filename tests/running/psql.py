"""A psql that stays open, because starting one takes more of the machine's time than an answer, and the tests ask
often.
"""

import secrets
import subprocess
from threading import Timer


class QueryFailed(Exception):
    """PostgreSQL refuses the query; the text is its message."""


class Ended(Exception):
    """psql has ended, because its container or its connection is gone, or it did not answer in time."""


class Psql:
    """psql in a container of PostgreSQL, connected to one database."""

    def __init__(self, container: str, user: str, database: str) -> None:
        command = ["psql", "--no-psqlrc", "--username", user, "--dbname", database, "--quiet", "--csv", "--tuples-only"]
        self._process = subprocess.Popen(
            ["docker", "exec", "--interactive", container, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, query: str, seconds: float = 60) -> list[str]:
        """Send a query, and return the lines of the answer.

        Raises QueryFailed if PostgreSQL refuses the query, and Ended if no answer comes within `seconds`.
        """
        assert self._process.stdin
        assert self._process.stdout
        mark, lines = secrets.token_hex(8), list[str]()
        limit = Timer(seconds, self._process.kill)
        limit.start()
        try:
            self._process.stdin.write(f"{query}\n;\n\\echo {mark} :ERROR :LAST_ERROR_MESSAGE\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                if line.startswith(mark):
                    _, failed, *message = line.rstrip("\n").split(" ", 2)
                    if failed == "true":
                        raise QueryFailed("".join(message))
                    return lines
                lines.append(line.rstrip("\n"))
        except BrokenPipeError:
            pass
        finally:
            limit.cancel()
        raise Ended("psql has ended")

    def close(self) -> None:
        """End psql."""
        self._process.kill()
        self._process.communicate()
