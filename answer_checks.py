"""Refuses answers that can't work. cookiecutter loads this Jinja extension: `_extensions` in cookiecutter.json.

After each question, cookiecutter.json has a private variable such as

    "__valid_email": "{{ cookiecutter.email | check_email }}",

which cookiecutter renders before it asks the next question. A hook would only run after the last question, cookiecutter
would print a stack trace below the hook's message, and a half-made folder might stay.
"""

import keyword
import re
import subprocess
import sys
import zoneinfo
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import cookiecutter
from cookiecutter import generate
from jinja2 import Environment
from jinja2.ext import Extension

# Earlier versions read `beat=no` on the command line as yes.
COOKIECUTTER = (2, 7)

TEMPLATE = Path(__file__).resolve().parent

# fmt: off
# Modules of packages. A project of the same name would be confused with them, in imports and in messages.
MODULES = {
    "aiosmtpd", "amqp", "asgiref", "billiard", "celery", "click", "cookiecutter", "django", "django_celery_beat",
    "django_celery_results", "django_filters", "django_htmx", "drf_spectacular", "environ", "gunicorn", "honcho",
    "kombu", "mypy", "pil", "pip", "psycopg", "pytest", "pythonjsonlogger", "redis", "rest_framework", "ruff",
    "sqlparse", "test", "uv", "vine", "watchfiles", "whitenoise", "yaml",
}
# Folders and services of the project, and databases that PostgreSQL brings.
PARTS = {
    "accounts", "beat", "cache", "config", "db", "default", "deploy", "dispatcher", "docs", "example", "jobs",
    "manage", "media", "migrate", "nginx", "ops", "postgres", "rabbitmq", "static", "template0", "template1",
    "templates", "tests", "var", "web", "worker",
}
# fmt: on
TAKEN = {*MODULES, *PARTS, *sys.stdlib_module_names, *keyword.kwlist, *keyword.softkwlist}


class Refused(Exception):
    """An answer that can't work. The text says what is wrong and what would work."""


def check_project_name(answer: str) -> None:
    """Refuse a name that is empty or has a line break."""
    if not answer.strip() or not is_one_line(answer):
        raise Refused("project_name is empty or not one line: give the project a name, such as My Project")


def check_project_slug(answer: str) -> None:
    """Refuse a slug that can't name a database and an image, or that is the name of something else already."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", answer) or len(answer) > 40:
        raise Refused(
            f"project_slug '{answer}' can't be the name of a module: use up to 40 lower-case letters, digits and "
            "single underscores, beginning with a letter, such as my_project"
        )
    if answer in TAKEN:
        raise Refused(
            f"project_slug '{answer}' is already the name of a module or of a part of the project: use another name, "
            f"such as my_{answer}"
        )


def check_description(answer: str) -> None:
    """Refuse a description with a line break."""
    if not is_one_line(answer):
        raise Refused("description is not one line: remove the line breaks")


def check_author_name(answer: str) -> None:
    """Refuse a name that is empty or has a line break."""
    if not answer.strip() or not is_one_line(answer):
        raise Refused("author_name is empty or not one line: give a name, such as Ada Lovelace")


def check_email(answer: str) -> None:
    """Refuse what pyproject.toml or a mail server would not take for an address."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+", answer):
        raise Refused(f"email '{answer}' is not an address: use one such as you@example.com")


def check_domain_name(answer: str) -> None:
    """Refuse what is not exactly a host name, for example because it has a scheme, a port or a path."""
    label = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
    if not re.fullmatch(rf"{label}(\.{label})*", answer):
        raise Refused(
            f"domain_name '{answer}' is not a host name: use one without scheme, port, path and spaces, such as "
            "example.com"
        )


def check_timezone(answer: str) -> None:
    """Refuse a time zone that Django would not know. (Without the system's database, Python may not even know UTC.)"""
    if answer != "UTC" and answer not in zoneinfo.available_timezones():
        raise Refused(f"timezone '{answer}' is unknown: use a name of the IANA database, such as UTC or Europe/Vienna")


def check_beat(answer: Any) -> None:
    """Refuse what is neither yes nor no, which a program that calls cookiecutter may pass."""
    if not isinstance(answer, bool):
        raise Refused(f"beat '{answer}' is neither yes nor no")


CHECKS: list[Callable[[Any], None]] = [
    check_project_name,
    check_project_slug,
    check_description,
    check_author_name,
    check_email,
    check_domain_name,
    check_timezone,
    check_beat,
]


def is_one_line(text: str) -> bool:
    """Return whether a text has no line breaks and other control characters. Joiners, which Persian words and emojis
    contain, are allowed.
    """
    return all(character.isprintable() or character in "\u200c\u200d" for character in text)


@cache
def template_version(folder: Path) -> str:
    """Return the tag or commit of the template in this folder, or the number in pyproject.toml if git knows neither."""
    command = ["git", "-C", str(folder), "describe", "--tags", "--always", "--dirty"]
    with suppress(OSError):  # there may be no git
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
        if (folder / ".git").exists() and done.returncode == 0:
            return done.stdout.strip()
    number = re.search(r'(?m)^version = "(.+)"$', (folder / "pyproject.toml").read_text(encoding="utf-8"))
    return number[1] if number else ""


class AnswerChecks(Extension):
    """Makes each check a filter that ends cookiecutter with one line if it refuses its input, and gives the rendered
    files two variables: the template's folder and its version. Refuses old versions of cookiecutter, and a
    configuration file with a choice that does not exist.
    """

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        if version(cookiecutter.__version__) < COOKIECUTTER:
            needed = ".".join(map(str, COOKIECUTTER))
            sys.exit(f"cookiecutter {cookiecutter.__version__} is too old: version {needed} or newer is needed")
        if reason := ignored_default():
            sys.exit(f"the configuration file of cookiecutter can't be used: {reason}")
        environment.filters.update({check.__name__: as_filter(check) for check in CHECKS})
        environment.globals["template_folder"] = str(TEMPLATE)
        environment.globals["template_version"] = template_version(TEMPLATE)


def ignored_default() -> str:
    """Return why cookiecutter has ignored an answer in the user's configuration file, or an empty text.

    cookiecutter only warns about such an answer and uses the template's default instead, so the project would not be
    the one that was asked for. Python records a module's warnings in `__warningregistry__`.
    """
    for key in getattr(generate, "__warningregistry__", {}):
        if key != "version" and str(key[0]).startswith("Invalid default received: "):
            return str(key[0]).removeprefix("Invalid default received: ")
    return ""


def version(text: str) -> tuple[int, ...]:
    """Return the first two numbers of a version: (2, 7) for 2.7.1."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def as_filter(check: Callable[[Any], None]) -> Callable[[Any], str]:
    """Return a filter that gives an empty text, or ends the process with one line and exit code 1."""

    def check_or_exit(answer: Any) -> str:
        try:
            check(answer)
        except Refused as reason:
            sys.exit(str(reason))
        return ""

    return check_or_exit
