"""What another program does with a running project's API: submit jobs and watch them."""

import secrets
from typing import Any

import requests

from tests.running.local import LocalSite
from tests.running.stack import Stack

NEW_USER = """
from accounts.models import User
from rest_framework.authtoken.models import Token
print(Token.objects.create(user=User.objects.create_user({name!r})).key)
"""


class Program:
    """Uses the API of the project that runs at `url`, as the user `name`, who has this token."""

    def __init__(self, url: str, name: str, token: str):
        self.url, self.name = url, name
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Token {token}"

    @classmethod
    def with_new_user(cls, stack: Stack | LocalSite) -> "Program":
        """Return a program with a user of its own, made in the stack's database."""
        name = f"program-{secrets.token_hex(4)}"
        return cls(stack.visitor.url, name, stack.shell(NEW_USER.format(name=name)))

    def submit(self, kind: str, seconds: float = 30, **arguments: Any) -> dict:
        """Submit a job and return it. Raises requests.HTTPError, and requests.Timeout after `seconds`."""
        body: dict[str, Any] = {"kind": kind, "arguments": arguments}
        answer = self.session.post(f"{self.url}/api/jobs/", json=body, timeout=seconds)
        answer.raise_for_status()
        return answer.json()

    def job(self, url: str) -> dict:
        """Return the job at this address. Raises requests.HTTPError."""
        answer = self.session.get(url, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def jobs(self) -> list[dict]:
        """Return all jobs of this user, newest first. Raises requests.HTTPError."""
        found: list[dict] = []
        page = f"{self.url}/api/jobs/"
        while page:
            answer = self.job(page)
            found, page = found + answer["results"], answer["next"]
        return found
