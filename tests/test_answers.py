"""Bad answers: one clear line, an exit code, and nothing left on the disk. Odd but good ones work."""

import ast
import json
import subprocess
import sys
import tomllib

import pytest

import answer_checks
from tests.answers import CODE_PROMPTS, CONTEXT, TEMPLATE, every_pair

# One for each prompt with free text: test_answer_checks.py has more.
BAD = {
    "project_name": "two\nlines",
    "project_slug": "../outside",
    "description": "two\nlines",
    "author_name": " ",
    "email": "nobody",
    "domain_name": "https://example.com",
    "timezone": "Mars/Olympus",
}

NASTY = 'It\'s "quoted" \\ back\\nslash {braces} {{ x }} {% y %} <b>&amp; $HOME `id` ünï 日本 😀 # % 100'


@pytest.fixture
def cookiecutter(tmp_path, monkeypatch):
    """Return a function that runs the command as a user does, in `tmp_path / "here"`."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))  # cookiecutter keeps the answers of the last run there

    def run(*arguments, typed=None):
        command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), *arguments]
        return subprocess.run(command, cwd=here, input=typed, capture_output=True, text=True, timeout=60)

    run.here = here  # type: ignore[attr-defined]  # a function takes any attribute, and mypy knows of none
    return run


@pytest.mark.parametrize(("prompt", "answer"), BAD.items())
def test_a_bad_answer_is_refused_in_one_line_and_leaves_nothing(cookiecutter, prompt, answer):
    done = cookiecutter("--no-input", f"{prompt}={answer}")

    assert done.returncode == 1
    assert done.stderr.startswith(prompt)
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert list(cookiecutter.here.iterdir()) == []


def test_a_bad_answer_is_refused_before_the_next_question(cookiecutter):
    done = cookiecutter(typed="My Project\nclass\n")

    assert done.returncode == 1
    assert "project_slug 'class' is already the name of" in done.stderr
    assert CONTEXT["__prompts__"]["description"] not in done.stdout
    assert list(cookiecutter.here.iterdir()) == []


def test_generation_needs_no_other_program(cookiecutter, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")  # no git, no docker

    assert cookiecutter("--no-input").returncode == 0


def test_a_folder_that_is_there_is_left_alone(cookiecutter):
    (cookiecutter.here / "my_project").mkdir()
    (cookiecutter.here / "my_project" / "mine").write_text("mine")

    done = cookiecutter("--no-input")

    assert done.returncode == 1
    assert "already exists" in done.stdout
    assert [path.name for path in cookiecutter.here.rglob("*")] == ["my_project", "mine"]


def test_a_project_that_is_written_over_keeps_its_secrets(cookiecutter):
    cookiecutter("--no-input")
    before = (cookiecutter.here / "my_project/.env").read_text()

    done = cookiecutter("--no-input", "--overwrite-if-exists")

    assert done.returncode == 0
    assert (cookiecutter.here / "my_project/.env").read_text() == before


def test_names_with_quotes_backslashes_braces_and_foreign_letters_reach_every_file_unharmed(cookiecutter):
    """Typed at the prompt: on the command line cookiecutter itself takes {{ }} for Jinja."""
    typed = [NASTY, "nasty", NASTY, NASTY]
    done = cookiecutter(typed="\n".join(typed) + "\n" * 20)
    assert done.returncode == 0, done.stderr
    project = cookiecutter.here / "nasty"

    settings = ast.parse((project / "config/settings/base.py").read_text(encoding="utf-8"))
    assigned = [node for node in settings.body if isinstance(node, ast.Assign)]
    names = [ast.literal_eval(node.value) for node in assigned if ast.unparse(node.targets[0]) == "PROJECT_NAME"]
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert names == [NASTY]
    assert pyproject["description"] == NASTY
    assert pyproject["authors"][0]["name"] == NASTY
    for file in ("README.md", "LICENSE"):
        assert NASTY in (project / file).read_text(encoding="utf-8")


def test_every_prompt_has_a_label_and_every_choice_says_when_to_take_it():
    labels = CONTEXT["__prompts__"]
    for prompt, default in CONTEXT.items():
        if prompt.startswith("_"):
            continue
        if isinstance(default, list):
            assert set(labels[prompt]) == {"__prompt__", *default}
        else:
            assert isinstance(labels[prompt], str)
    assert "[" not in json.dumps(labels).replace("[]", ""), "rich takes square brackets for markup and drops them"


def test_no_slug_may_be_a_module_that_the_project_imports(bake):
    projects = [bake(**answers) for answers in every_pair(*CODE_PROMPTS)]
    texts = {file.read_text(encoding="utf-8") for project in projects for file in project.rglob("*.py")}
    imported = set().union(*map(_imports, texts))

    names = {name.lower() for name in imported if not name.startswith("_")}  # a disk may ignore case
    assert names <= answer_checks.TAKEN


def _imports(text: str) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module.split(".")[0])
    return modules
