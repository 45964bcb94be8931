"""The tests of a generated project pass without Docker, on a set of answers that contains each pair of the choices that
change Python code. The documentation's commands that delete the samples or the job engine are run as they are written.
"""

import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest
import yaml

from tests.answers import CODE_PROMPTS, every_pair, named


def run(project: Path, venv: Path, *command: str | Path) -> str:
    """Run a command in the project's folder and return what it prints. Raises AssertionError if it fails."""
    environment = {"PATH": f"{venv}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
    return done.stdout


ROWS = every_pair(*CODE_PROMPTS)
# Slow tests start processes. They run in two projects of each broker: in one here, and in one in test_smoke.py.
# Together these four have each result backend. They take longest, so they come first.
WITH_SLOW_TESTS = [
    next(row for row in ROWS if row["jobs"] == "api" and row["beat"] and row["broker"] == broker)
    for broker in ("redis", "rabbitmq")
]
RUNS = [*((row, "slow") for row in WITH_SLOW_TESTS), *((row, "not slow") for row in ROWS)]

# One project has a name that its pages have to show as text.
ODD_NAME = {"project_name": """It's "quoted" \\ {braces} <b>&amp; $HOME ünï 日本 😀 # % 100""", "project_slug": "odd"}
WITH_ODD_NAME = next(row for row in ROWS if row["jobs"] == "pages")


@pytest.mark.parametrize(("row", "tests"), RUNS, ids=lambda value: value if isinstance(value, str) else named(value))
def test_the_generated_tests_pass(bake_fresh, generated_venv, row, tests):
    project = bake_fresh(**row, **ODD_NAME if row == WITH_ODD_NAME else {})
    run(project, generated_venv, "pytest", "-q", "-m", tests)


@pytest.mark.parametrize("answers", [{}, {"jobs": "none"}, {"beat": False}], ids=["default", "no jobs", "no beat"])
def test_the_samples_can_be_deleted_as_the_readme_says(bake_fresh, generated_venv, answers):
    """By its two lines, word by word. Afterwards the project's own linters and tests find nothing. Slow tests are not
    run, but no code names a sample. The default project runs all other tests. The other two projects collect them, but
    run only those of pages and settings, which the deletion changes.
    """
    project = bake_fresh(**answers)
    lines = re.search(r"(?m)^ *rm -r example .*\n *sed .*$", (project / "README.md").read_text())[0]

    run(project, generated_venv, "bash", "-euo", "pipefail", "-c", textwrap.dedent(lines))

    assert not (project / "example").exists()
    assert not re.search(r"\bexample\.(?!com)\w", "\n".join(file.read_text() for file in project.rglob("*.py")))
    # --old-file: the environment is there already, so make installs nothing
    make = ["make", "--no-print-directory", "--old-file", ".venv/installed", f"BIN={generated_venv}"]
    run(project, generated_venv, *make, "lint")
    run(project, generated_venv, "pytest", "-q", "-m", "not slow", *["-k", "accounts or config"] if answers else [])
    if docker := shutil.which("docker"):  # no engine is needed for this
        run(project, generated_venv, docker, "compose", "config", "--quiet")
    [logs] = run(project, generated_venv, *make, "--dry-run", "logs").splitlines()
    services = yaml.safe_load((project / "compose.yaml").read_text())["services"]
    assert {"web", "worker"} <= set(logs.partition(" --follow ")[2].split()) <= set(services)


@pytest.mark.parametrize("answers", [{}, {"jobs": "pages", "beat": False}], ids=["default", "pages, no beat"])
def test_a_project_whose_jobs_were_removed_by_hand_has_the_files_of_one_that_never_had_them(
    bake, bake_fresh, generated_venv, answers
):
    """By the lines of docs/jobs.md, word by word. README.md, AGENTS.md and docs/ may differ."""
    project = bake_fresh(**answers)
    lines = shell_lines_below("Remove the engine", (project / "docs/jobs.md").read_text())

    run(project, generated_venv, "bash", "-euo", "pipefail", "-c", lines)

    ours, theirs = contents(project), contents(bake(**answers | {"jobs": "none"}))
    assert ours.keys() == theirs.keys()
    for name in theirs:
        assert ours[name] == theirs[name], name


def test_a_second_worker_pool_is_added_as_the_documentation_says(bake_fresh, generated_venv):
    """By the lines of docs/scaling.md, word by word. The project's own tests compare the files that name workers."""
    project = bake_fresh()
    page = (project / "docs/scaling.md").read_text()
    added = re.findall(r"(?ms)^`([\w./]+)`, [^`]*(?:`[^`]+`[^`]*)*?\n\n```\w+\n(.*?)```\n", page)
    places = {
        "celery.py": r"^CELERY_TASK_QUEUES = .*?\n",
        "capacity.py": r"^WORKER_POOLS = \{.*?^\}\n",
        "compose.yaml": r"(?<=^services:\n)",
        "compose.override.yaml": r"(?<=^services:\n)",
        "compose.prod.yaml": r"(?<=^services:\n)",
        "compose.debug.yaml": r"(?<=^services:\n)",
        "Makefile": r"^APP := web.*?\n",
        "Procfile": r"(?<=--without-mingle\n)",
    }
    assert [Path(name).name for name, _ in added] == list(places)

    for name, lines in added:
        file = project / name
        before, after = re.split(rf"(?ms){places[file.name]}", file.read_text(), maxsplit=1)
        text = (before + lines + after).replace("--hostname, worker@%h,", "--hostname, worker@%h, --queues, default,")
        file.write_text(text.replace("--hostname worker@%h", "--hostname worker@%h --queues default"))

    run(project, generated_venv, "pytest", "-q", "tests/config/test_workers.py", "tests/config/test_capacity.py")
    run(project, generated_venv, "python", "manage.py", "check")
    if docker := shutil.which("docker"):  # no engine is needed for this
        run(project, generated_venv, docker, "compose", "config", "--quiet")


def shell_lines_below(heading: str, page: str) -> str:
    """Return the lines of all code blocks, fenced or indented, below a heading of a Markdown page."""
    found, level, fence = [], 0, ""
    for line in page.splitlines():
        if fence:
            if line.strip() == fence:
                fence = ""
            elif level:
                found.append(line)
        elif opened := re.match("```|~~~", line):
            fence = opened[0]
        elif title := re.match("(#+) (.*)", line):
            if level and len(title[1]) <= level:
                break
            if title[2] == heading:
                level = len(title[1])
        elif level and (line.startswith("    ") or not line):
            found.append(line[4:])
    assert any(found), f"no shell lines below {heading!r}"
    return "\n".join(found)


def contents(project: Path) -> dict[str, str]:
    """Return the text of each file that the test compares. The secrets in .env are random."""
    files = {str(path.relative_to(project)): path for path in project.rglob("*") if path.is_file()}
    return {
        name: path.read_text()
        for name, path in files.items()
        if name not in {".env", "AGENTS.md", "README.md"} and not name.startswith("docs/")
    }
