"""Every combination of answers renders to files that parse, say nothing of what was not chosen, and look cared for."""

import re
import stat
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.answers import every, named

ALL = pytest.mark.parametrize("answers", every(), ids=named)

# Words that only a project with this answer may contain. constraints.txt pins the packages of all answers, and .env has
# random letters. `app.amqp` is what Celery calls its table of queues, whatever the broker.
WORDS = {
    ("broker", "redis"): r"visibility_timeout",
    ("broker", "rabbitmq"): r"rabbit|(?<!app\.)amqp|quorum",
    ("result_backend", "django-db"): r"django-db|django_celery_results|django-celery-results",
    ("beat", True): r"\bbeat\b|django_celery_beat|django-celery-beat|scheduler",
    ("rest_api", True): r"rest_framework|djangorestframework|spectacular|django.filter",
    ("web_proxy", "nginx"): r"deploy/nginx|compose\.tls",
    ("license", "BSD-3-Clause"): r"BSD",
    ("license", "proprietary"): r"proprietary",
    ("python_version", "3.13"): r"python:3\.13",
    ("python_version", "3.14"): r"python:3\.14",
}


@cache
def texts(project: Path) -> dict[str, str]:
    files = sorted(path for path in project.rglob("*") if path.is_file())
    return {str(path.relative_to(project)): path.read_text(encoding="utf-8") for path in files}


@ALL
def test_every_file_parses(bake, answers):
    for name, text in texts(bake(**answers)).items():
        if name.endswith(".py"):
            compile(text, name, "exec")
        elif name.endswith(".toml"):
            tomllib.loads(text)
        elif name.endswith((".yaml", ".yml")):
            yaml.safe_load(text)


@ALL
def test_no_template_tag_is_left(bake, answers):
    for name, text in texts(bake(**answers)).items():
        if name.endswith(".html"):
            assert "cookiecutter" not in text, name
        else:
            assert not re.search(r"\{\{ |\{%|cookiecutter\.", text), name


@ALL
def test_every_file_looks_written_by_hand(bake, answers):
    for name, text in texts(bake(**answers)).items():
        if name.endswith("__init__.py") and not text:
            continue
        assert text.endswith("\n"), f"{name} is empty or its last line has no end"
        assert not text.endswith("\n\n"), f"{name} ends with a blank line"
        assert not text.startswith("\n"), f"{name} starts with a blank line"
        blank = "\n\n\n\n" if name.endswith(".py") else "\n\n\n"
        assert blank not in text, f"{name} has too many blank lines"
        trailing = [line for line in text.split("\n") if line != line.rstrip()]
        assert not trailing, f"{name} has trailing spaces: {trailing}"


@ALL
def test_nothing_is_said_of_what_was_not_chosen(bake, answers):
    for (prompt, choice), words in WORDS.items():
        if answers[prompt] == choice:
            continue
        for name, text in texts(bake(**answers)).items():
            found = name not in {"constraints.txt", ".env"} and re.search(words, text, re.IGNORECASE)
            assert not found, f"{name} with {prompt} {answers[prompt]}: {found[0]}"


def test_the_words_that_only_one_answer_brings_are_there_when_it_is_chosen(bake):
    for (prompt, choice), words in WORDS.items():
        assert re.search(words, "\n".join(texts(bake(**{prompt: choice})).values()), re.IGNORECASE), words


def test_the_same_answers_give_the_same_bytes_but_for_the_secrets(bake_fresh):
    first, second = texts(bake_fresh()), texts(bake_fresh())

    secrets = [first.pop(".env"), second.pop(".env")]
    assert secrets[0] != secrets[1]
    assert first == second


@pytest.mark.parametrize("answers", every("broker", "result_backend"), ids=named)
def test_env_has_a_secret_of_its_own_for_each_password_and_is_for_its_owner_only(bake, answers):
    project = bake(**answers)
    example, env = (_variables(project / name) for name in (".env.example", ".env"))

    secrets = [env[name] for name, value in example.items() if value == "change-me"]
    assert "SECRET_KEY" in example
    assert len(secrets) == len(set(secrets)) >= 3
    assert all(re.fullmatch(r"[A-Za-z0-9]{50}", secret) for secret in secrets)
    assert list(env) == list(example)
    assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600
    assert ".env" in (project / ".gitignore").read_text().splitlines()


def _variables(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if line and not line.startswith("#"))
