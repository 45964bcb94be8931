"""Read the environment: the variable NAME, or the file whose path is in NAME_FILE."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping

# gunicorn stops when a worker exits with this code. With most other codes it would start new workers for ever.
WORKER_BOOT_ERROR = 3


class _Environment(FileAwareMapping):
    """django-environ's mapping, but a file may end with a line break."""

    def __getitem__(self, name: str) -> str:
        """Return the value of this variable. Raises ImproperlyConfigured if its file can't be read."""
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


def url_with_password(name: str, password: str) -> str:
    """Return the URL in the variable `name`, or "" if it is not set.

    If the URL has no password, the one in the variable `password` is put into it. That way each password is in one
    place only, which can be a file. Raises ImproperlyConfigured if the variable is not a URL.
    """
    url, secret = env(name, default=""), env(password, default="")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not a URL; is its password quoted (%2F for /)?") from error
    if url and not parts.scheme:
        raise ImproperlyConfigured(f"{name} is not a URL: it must begin with a scheme, as in postgres:// or redis://")
    if not parts.hostname or parts.password is not None or not secret:
        return url
    _, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{parts.username or ''}:{quote(secret, safe='')}@{host}").geturl()


def exported_url_with_password(name: str, password: str) -> str:
    """Return `url_with_password(name, password)`, and write this URL into the variable `name` of this process.

    This is for CELERY_BROKER_URL and CELERY_RESULT_BACKEND. Celery reads these variables itself and prefers them to the
    settings of the same names (celery/app/utils.py), so it would use a URL without its password.
    """
    if url := url_with_password(name, password):
        os.environ[name] = url
    return url


def refuse_variable(name: str, reason: str, accept: str = "") -> None:
    """Raise ImproperlyConfigured, with the reason, if the variable `name` is set to anything but `accept`."""
    if env(name, default="") not in {"", accept}:
        raise ImproperlyConfigured(f"{name} is set, but {reason}")


@contextmanager
def exit_on_misconfiguration() -> Iterator[None]:
    """End the process with the message of an ImproperlyConfigured. A traceback would point at code that is right."""
    try:
        yield
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        sys.exit(WORKER_BOOT_ERROR)
