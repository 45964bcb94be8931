"""Which answers are refused, and with which words: answer_checks.py. test_answers.py asks cookiecutter itself."""

import subprocess
import sys

import pytest
from jinja2 import Environment
from jinja2.sandbox import SandboxedEnvironment

import answer_checks
from tests.answers import TEMPLATE

BAD: dict[str, list] = {
    "project_name": ["", "  ", "two\nlines", "bell\a"],
    "project_slug": [
        *["", ".", "..", "a/b", "/tmp/outside", "two words", "with-dash", "3d", "Upper", "ümlaut", "line\n"],
        *["_x", "x_", "a__b", "x" * 41],
        *["class", "import", "match", "django", "celery", "redis", "kombu", "config", "jobs", "ops", "tests"],
        *["test", "accounts", "example", "dispatcher", "templates", "site", "web"],
    ],
    "description": ["two\nlines"],
    "author_name": ["", " ", "two\nlines"],
    "email": [
        *["", "nobody", "@example.com", "you@", "a@b@c", "you @example.com", 'you"@example.com', "you@exämple.com"],
        *["you@example.com\n", "you\\@example.com"],
    ],
    "domain_name": [
        *["", "https://example.com", "exa mple.com", "example.com/path", "example.com:8000", ".com", "a..b"],
        *["exämple.com", "-a.com", "a-.com", "example.com\n"],
    ],
    "timezone": ["", "Mars/Olympus", "Europe/Wien ", "../etc/passwd"],
    "beat": ["maybe", "", 2],
}

GOOD: dict[str, list] = {
    "project_name": ["My Project", "O'Brien & Söhne", "می‌خواهم", "👩‍💻 at work"],
    "project_slug": ["shop", "my_project", "a", "x1_2y", "x" * 40],
    "description": ["", "Sells {{ things }}", "👩‍👩‍👧"],
    "author_name": ["Ada Lovelace", "李 小龍"],
    "email": ["you@example.com", "a.b+c@sub.example.co.uk", "x@localhost"],
    "domain_name": ["example.com", "localhost", "a-b.example", "xn--mnchen-3ya.de", "10.0.0.1"],
    "timezone": ["UTC", "Europe/Vienna"],
    "beat": [True, False],
}


def test_a_project_names_the_commit_of_its_template(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    assert answer_checks.template_version(tmp_path) == "1.2.3"  # a folder without git
    answer_checks.template_version.cache_clear()

    git = ["git", "-C", str(tmp_path), "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "Begin"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout

    assert commit.startswith(answer_checks.template_version(tmp_path))


def cases(answers: dict[str, list]) -> list[tuple]:
    return [(prompt, answer) for prompt, values in answers.items() for answer in values]


@pytest.mark.parametrize(("prompt", "answer"), cases(BAD))
def test_an_answer_that_can_not_work_is_refused_in_one_line_that_names_the_prompt(prompt, answer):
    with pytest.raises(answer_checks.Refused) as refused:
        getattr(answer_checks, f"check_{prompt}")(answer)

    assert str(refused.value).startswith(prompt)
    assert str(refused.value).replace(str(answer), "").isprintable()


@pytest.mark.parametrize(("prompt", "answer"), cases(GOOD))
def test_an_unusual_answer_that_works_is_accepted(prompt, answer):
    getattr(answer_checks, f"check_{prompt}")(answer)


@pytest.mark.parametrize(
    ("version", "is_too_old"), [("1.7.3", True), ("2.1.1", True), ("2.6.0", True), ("2.7.0", False), ("3.0.0", False)]
)
def test_a_cookiecutter_that_would_misread_answers_is_refused(monkeypatch, version, is_too_old):
    monkeypatch.setattr("cookiecutter.__version__", version)

    assert (answer_checks.version(version) < answer_checks.COOKIECUTTER) is is_too_old
    if is_too_old:
        with pytest.raises(SystemExit, match=r"version 2\.7 or newer is needed"):
            answer_checks.AnswerChecks(Environment())


def test_the_checks_work_in_a_sandbox():
    """A later cookiecutter may render templates in one."""
    environment = SandboxedEnvironment(extensions=["cookiecutter_2_7_is_needed.AnswerChecks"])

    assert environment.from_string("{{ 'you@example.com' | check_email }}").render() == ""
    assert environment.from_string("{{ template_folder }}").render() == str(TEMPLATE)
    with pytest.raises(SystemExit, match="email 'nobody' is not an address"):
        environment.from_string("{{ 'nobody' | check_email }}").render()


@pytest.mark.parametrize("choice", ["beat: maybe", "broker: kafka", "jobs: all"])
def test_a_choice_in_the_configuration_file_that_does_not_exist_is_refused(tmp_path, choice):
    config = tmp_path / "config.yaml"
    config.write_text(f"default_context:\n  {choice}\n")
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "--config-file", config, "-o", tmp_path / "out"]

    done = subprocess.run([*command, TEMPLATE], capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert "the configuration file of cookiecutter can't be used: " + choice.split()[1] in done.stderr
    assert not (tmp_path / "out").exists()
