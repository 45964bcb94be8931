"""The hook's table: which answer needs which files. A project has the files that its answers ask for, and a project
that is generated again keeps everything that the template did not bring.
"""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.generate import generate_context
from cookiecutter.prompt import prompt_for_config
from jinja2 import Environment

from tests.answers import PROJECT, TEMPLATE, Answers, every_triple, named

HOOK = (TEMPLATE / "hooks/post_gen_project.py").read_text(encoding="utf-8")

# Paths, and the prompt and choices that they belong to: what the table says, said again in another way.
BELONGS: list[tuple[str, set[str | bool], list[str]]] = [
    ("jobs", {"api", "pages"}, ["jobs", "tests/jobs", "example/jobs.py", "config/settings/jobs.py", "docs/jobs.md"]),
    ("jobs", {"api"}, ["jobs/api", "tests/jobs/api", "config/settings/rest_api.py", "docs/rest_api.md"]),
    ("beat", {True}, ["ops/celery/beat", "tests/ops/celery/beat", "docs/beat.md"]),
    ("broker", {"redis"}, ["ops/celery/redis", "tests/ops/celery/redis"]),
    ("broker", {"rabbitmq"}, ["ops/celery/rabbitmq", "tests/ops/celery/rabbitmq"]),
    ("web_proxy", {"nginx"}, ["deploy/nginx", "compose.tls.yaml"]),
]

# Files of a user's own, in folders that some answer leaves out or that cookiecutter could replace as a whole, and an
# app of the user's own.
MINE = [
    *["accounts/mine.py", "accounts/templates/accounts/mine.html", "accounts/migrations/0002_mine.py"],
    *["deploy/nginx/mine.conf", "docs/mine.md", "example/mine.py", "example/templates/example/mine.html"],
    *["jobs/mine.py", "jobs/api/mine.py", "jobs/static/jobs/mine.css", "jobs/templates/jobs/mine.html"],
    *["ops/celery/beat/mine.py", "ops/celery/rabbitmq/mine.py", "ops/celery/redis/mine.py", "ops/mine.py"],
    *[
        "static/mine.css",
        "static/site/mine.css",
        "templates/mine.html",
        "tests/jobs/test_mine.py",
        "tests/test_mine.py",
    ],
    *["mine/__init__.py", "mine/jobs.py"],
]


def rows(hook: str) -> list[tuple[str, list[str]]]:
    """Return the hook's ONLY_WITH: each condition as the source has it, and its paths."""
    assigned = [node for node in ast.parse(hook).body if isinstance(node, ast.Assign)]
    table: Any  # a list
    [table] = [node.value for node in assigned if ast.unparse(node.targets[0]) == "ONLY_WITH"]
    pairs = [row.elts for row in table.elts]
    return [(ast.get_source_segment(hook, condition), ast.literal_eval(paths)) for condition, paths in pairs]


def rows_of(answers: Answers) -> list[tuple[bool, list[str]]]:
    """Return for each row of ONLY_WITH whether these answers want its paths, and the paths."""
    context = generate_context(TEMPLATE / "cookiecutter.json", extra_context=answers)
    names = prompt_for_config(context, no_input=True)
    rendered = [(Environment().from_string(wanted).render(cookiecutter=names), paths) for wanted, paths in rows(HOOK)]
    return [(eval(wanted, {"__builtins__": {}}), paths) for wanted, paths in rendered]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_each_path_of_the_table_is_there_in_the_template():
    for wanted, paths in rows(HOOK):
        for path in paths:
            assert (PROJECT / path).exists(), f"{path}, only with {wanted}"


@pytest.mark.parametrize("answers", every_triple(), ids=named)
def test_a_project_has_exactly_the_files_of_the_template_that_its_answers_need(bake, answers):
    left_out = [PROJECT / path for wanted, paths in rows_of(answers) for path in paths if not wanted]
    needed = {
        str(path.relative_to(PROJECT))
        for path in PROJECT.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        if not any(path.is_relative_to(folder) for folder in left_out)
    }

    assert files(bake(**answers)) == needed | {".env"}


@pytest.mark.parametrize("answers", every_triple(), ids=named)
def test_a_folder_or_file_of_an_answer_is_there_only_with_this_answer(bake, answers):
    project = bake(**answers)

    for prompt, choices, paths in BELONGS:
        for path in paths:
            belongs = answers[prompt] in choices
            assert (project / path).exists() == belongs, f"{path} with {prompt} {answers[prompt]}"
    redis = "redis" in {answers["broker"], answers["result_backend"]}
    assert (project / "deploy/redis/redis.conf").exists() == redis


def generate_again(folder: Path, **answers) -> str:
    """Run cookiecutter -f over the project in `folder`, as a user does, and return what it prints."""
    words = [f"{name}={value}" for name, value in answers.items()]
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "--overwrite-if-exists", str(TEMPLATE), *words]
    done = subprocess.run(command, cwd=folder.parent, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


OTHER_ANSWERS = [
    {},
    {"jobs": "none", "beat": False, "web_proxy": "none"},
    {"jobs": "pages", "broker": "rabbitmq", "result_backend": "none"},
]


@pytest.mark.parametrize("before", OTHER_ANSWERS, ids=lambda answers: f"before: {named(answers)}")
@pytest.mark.parametrize("after", OTHER_ANSWERS, ids=lambda answers: f"after: {named(answers)}")
def test_generating_again_writes_what_the_template_brings_and_leaves_everything_else_alone(
    bake, bake_fresh, monkeypatch, tmp_path, before, after
):
    monkeypatch.setenv("HOME", str(tmp_path))  # cookiecutter keeps the answers of the last run there
    project = bake_fresh(**before)
    dotenv = (project / ".env").read_text()
    for name in MINE:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("mine\n")
    (project / "config/urls.py").write_text("changed\n")
    (project / "static/site/site.css").write_text("changed\n")

    generate_again(project, **after)

    fresh = bake(**after)
    for name in MINE:
        assert (project / name).read_text() == "mine\n", name
    assert files(project) - set(MINE) == files(fresh)
    assert (project / ".env").read_text() == dotenv
    for name in files(fresh) - {".env"}:
        assert (project / name).read_text() == (fresh / name).read_text(), name


def test_generating_again_says_that_changes_were_overwritten_and_a_new_project_does_not(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))

    first, second = (generate_again(tmp_path / "my_project") for _ in range(2))

    assert "overwritten" not in first
    assert "Every file that comes from the template was overwritten" in second


def test_each_answer_that_decides_on_files_is_tested_here():
    """A new row of the table needs a row here too."""
    here = {path for _, _, paths in BELONGS for path in paths} | {"deploy/redis/redis.conf"}

    assert {path for _, paths in rows(HOOK) for path in paths} == here | {"tests/example/test_jobs.py"}
