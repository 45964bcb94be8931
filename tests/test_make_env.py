"""`make env`: .env gets the variables that it lacks, with fresh secrets, and keeps every line that it has."""

import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def folder(bake, tmp_path) -> Path:
    """A folder with what `make env` needs of a project."""
    for name in ["Makefile", ".env.example"]:
        shutil.copy(bake(broker="rabbitmq") / name, tmp_path)
    return tmp_path


def make_env(folder: Path) -> str:
    command = ["make", "--no-print-directory", "env"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def variables(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if re.match("[A-Z_]+=", line))


def test_without_a_file_it_is_made_with_all_variables_and_with_secrets_of_its_own(folder):
    make_env(folder)

    example, made = variables(folder / ".env.example"), variables(folder / ".env")
    secrets = [made[name] for name, value in example.items() if value == "change-me"]
    assert made.keys() == example.keys()
    assert len(secrets) == len(set(secrets)) >= 4
    assert all(re.fullmatch(r"[A-Za-z0-9]{50}", secret) for secret in secrets)
    assert made["WEB_PORT"] == example["WEB_PORT"]
    assert made["HOST_UID"] == str(folder.stat().st_uid or 1000)
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600


def test_it_has_the_variables_of_the_file_that_comes_with_a_new_project(bake, folder):
    make_env(folder)

    assert variables(folder / ".env").keys() == variables(bake(broker="rabbitmq") / ".env").keys()


def test_what_is_there_stays_byte_for_byte_and_only_what_is_missing_is_added(folder):
    mine = "# mine\nexport SECRET_KEY = 'a = b'\nWEB_PORT=9000\nMINE=\\n$1 \"x\"\n\nREDIS_PASSWORD="
    (folder / ".env").write_text(mine)  # its last line has no end

    added = re.findall("added (.*)", make_env(folder))

    assert (folder / ".env").read_text().startswith(f"{mine}\n")
    expected = [name for name in variables(folder / ".env.example") if name not in {"SECRET_KEY", "WEB_PORT"}]
    assert added == [name for name in expected if name != "REDIS_PASSWORD"]
    assert list(variables(folder / ".env")) == ["WEB_PORT", "MINE", "REDIS_PASSWORD", *added]


def test_a_second_time_it_adds_nothing(folder):
    make_env(folder)
    first = (folder / ".env").read_bytes()

    assert make_env(folder) == ""
    assert (folder / ".env").read_bytes() == first


def test_the_secrets_are_not_printed(folder):
    printed = make_env(folder)

    assert variables(folder / ".env")["SECRET_KEY"] not in printed


def test_a_servers_file_gets_no_secrets_of_development(folder):
    (folder / ".env").write_text("COMPOSE_FILE=compose.yaml:compose.prod.yaml\n")

    done = subprocess.run(["make", "env"], cwd=folder, check=False, capture_output=True, text=True)

    assert done.returncode != 0
    assert "docs/production.md" in done.stderr
    assert (folder / ".env").read_text() == "COMPOSE_FILE=compose.yaml:compose.prod.yaml\n"
