"""Reads the environment: NAME, or the file that NAME_FILE names."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping

# 3 tells gunicorn that the app can't boot: it ends, where another code would make it start workers for ever.
CAN_NOT_BOOT = 3


class _Environment(FileAwareMapping):
    """django-environ's, but a file may end with a line break. Raises ImproperlyConfigured if it can't be read."""

    def __getitem__(self, name: str) -> str:
        try:
            return super().__getitem__(name).rstrip("\n")
        except OSError as error:
            what = f"{name}_FILE can't be read: {error.strerror}: {error.filename}"
            raise ImproperlyConfigured(what) from error


class Env(environ.Env):
    """`env(name, default=…)`, `env.int(name)` and so on. https://django-environ.readthedocs.io/en/latest/api.html"""

    ENVIRON = _Environment()

    def int(self, var: str, default: int) -> int:
        """Return the whole number in this variable. Raises ImproperlyConfigured if it is something else."""
        try:
            return super().int(var, default=default)
        except ValueError as error:
            raise ImproperlyConfigured(f"{var}={self.str(var)} must be a whole number, such as {default}") from error


env = Env()


def address(name: str, password: str) -> str:
    """Return the URL in the variable `name`, empty if there is none. If it has no password, the one in the variable
    `password` is put into it: so a secret is in one place, and a file may have it. Raises ImproperlyConfigured if it is
    no URL.
    """
    url, secret = env(name, default=""), env(password, default="")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is no URL; is its password quoted (%2F for /)?") from error
    if url and not parts.scheme:
        raise ImproperlyConfigured(f"{name} is no URL: it must begin with a scheme, as in postgres:// or redis://")
    if not parts.hostname or parts.password is not None or not secret:
        return url
    _, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{parts.username or ''}:{quote(secret, safe='')}@{host}").geturl()


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """End the process with the message of an ImproperlyConfigured and no traceback: the code is not what is wrong."""
    try:
        yield
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        sys.exit(CAN_NOT_BOOT)
