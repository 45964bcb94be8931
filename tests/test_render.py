"""Projects consist of files that parse, say nothing of what was not chosen, and look cared for. On a set of answers in
which any three choices meet.
"""

import ast
import re
import stat
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from cookiecutter.generate import is_copy_only_path

from tests.answers import CONTEXT, PROJECT, every, every_triple, named

TRIPLES = pytest.mark.parametrize("answers", every_triple(), ids=named)

# Words that only a project with one of these choices may contain: (prompt, choices, words). `app.amqp` is where Celery
# has its table of queues, whatever the broker is.
WORDS: list[tuple[str, set[str | bool], str]] = [
    ("broker", {"redis"}, r"visibility_timeout"),
    ("broker", {"rabbitmq"}, r"rabbit|(?<!app\.)amqp|quorum"),
    ("result_backend", {"django-db"}, r"django-db|django_celery_results|django-celery-results"),
    ("beat", {True}, r"\bbeat\b|django_celery_beat|django-celery-beat|scheduler"),
    ("jobs", {"api", "pages"}, r"\bjobs?\b|dispatcher|htmx|pillow"),
    ("jobs", {"api"}, r"rest_framework|djangorestframework|spectacular|django.filter"),
    ("worker_pools", {"split"}, r"worker-default|worker-io|worker-cpu|WORKER_IO"),
    ("web_proxy", {"nginx"}, r"deploy/nginx|compose\.tls"),
    ("license", {"BSD-3-Clause"}, r"BSD"),
    ("license", {"proprietary"}, r"proprietary"),
    ("python_version", {"3.13"}, r"python:3\.13"),
    ("python_version", {"3.14"}, r"python:3\.14"),
]
# constraints.txt pins the packages of all answers, and .env has random letters.
WORDLESS = {"constraints.txt", ".env"}


@cache
def texts(project: Path) -> dict[str, str]:
    files = sorted(path for path in project.rglob("*") if path.is_file())
    return {str(path.relative_to(project)): path.read_text(encoding="utf-8") for path in files}


@TRIPLES
def test_every_file_parses(bake, answers):
    for name, text in texts(bake(**answers)).items():
        if name.endswith(".py"):
            compile(text, name, "exec")
        elif name.endswith(".toml"):
            tomllib.loads(text)
        elif name.endswith((".yaml", ".yml")):
            yaml.safe_load(text)


@TRIPLES
def test_no_template_tag_is_left(bake, answers):
    for name, text in texts(bake(**answers)).items():
        if name.endswith(".html") or re.search(r"(^|/)templates/.*\.txt$", name):  # Django's own tags stay
            assert "cookiecutter" not in text, name
        else:
            assert not re.search(r"\{\{ |\{%|cookiecutter\.", text), name


@TRIPLES
def test_every_file_looks_written_by_hand(bake, answers):
    for name, text in texts(bake(**answers)).items():
        if name.endswith(("__init__.py", "__init__.py-tpl")) and not text:
            continue
        assert text.endswith("\n"), f"{name} is empty or its last line has no end"
        assert not text.endswith("\n\n"), f"{name} ends with a blank line"
        assert not text.startswith("\n"), f"{name} starts with a blank line"
        # The pages of the docs have Python in them, with two blank lines before a function.
        blank = "\n\n\n\n" if name.endswith((".py", ".py-tpl", "docs/jobs.md", "README.md")) else "\n\n\n"
        assert blank not in text, f"{name} has too many blank lines"
        trailing = [line for line in text.split("\n") if line != line.rstrip()]
        assert not trailing, f"{name} has trailing spaces: {trailing}"


@TRIPLES
def test_nothing_is_said_of_what_was_not_chosen(bake, answers):
    found = []
    for prompt, choices, words in WORDS:
        if answers[prompt] in choices:
            continue
        for name, text in texts(bake(**answers)).items():
            for number, line in enumerate([name, *text.splitlines()] if name not in WORDLESS else []):
                if re.search(words, line, re.IGNORECASE):
                    found.append(f"{name}:{number} with {prompt} {answers[prompt]}: {line}")
    assert not found, "\n".join(found)


def test_the_words_that_only_one_answer_brings_are_there_when_it_is_chosen(bake):
    for prompt, choices, words in WORDS:
        for choice in choices:
            project = texts(bake(**{prompt: choice}))
            everything = "\n".join(text for name, text in project.items() if name not in WORDLESS)
            for word in words.split("|"):
                assert re.search(word, everything, re.IGNORECASE), f"{word} with {prompt} {choice}"


def python_outside_config() -> list[str]:
    """Return the paths of the template's modules outside config/, as they will be in a project."""
    paths = [str(path.relative_to(PROJECT)) for path in PROJECT.rglob("*.py")]
    return sorted(path for path in paths if not path.startswith("config/"))


def test_python_outside_config_is_the_same_for_all_answers_and_is_copied_without_rendering():
    """So each of these files parses in the template already, where linters and editors can read it."""
    assert len(python_outside_config()) > 100
    for path in python_outside_config():
        text = (PROJECT / path).read_text(encoding="utf-8")
        ast.parse(text, path)
        assert "cookiecutter" not in text, path
        assert is_copy_only_path(path, {"cookiecutter": CONTEXT}), f"_copy_without_render has no pattern for {path}"


def test_folders_are_rendered_always_so_that_cookiecutter_does_not_replace_a_whole_one():
    """With --overwrite-if-exists it deletes a project's folder that matches a pattern of _copy_without_render."""
    folders = [str(path.relative_to(PROJECT)) for path in PROJECT.rglob("*") if path.is_dir()]

    assert [path for path in folders if is_copy_only_path(path, {"cookiecutter": CONTEXT})] == []


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
