"""Writes both constraints.txt again: the newest versions that fit, with hashes, for every answer. `make lock`"""

import subprocess
import sys
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

from tests.answers import PACKAGE_PROMPTS, PROJECT, TEMPLATE, every
from tests.packages import pyproject_of_all

COMPILE = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--upgrade", "--generate-hashes"]
COMPILE += ["--no-header", "--no-annotate", "--group", "dev", "pyproject.toml", "--output-file"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        projects = [
            Path(cookiecutter(str(TEMPLATE), no_input=True, extra_context=answers, output_dir=f"{folder}/{number}"))
            for number, answers in enumerate(every(*PACKAGE_PROMPTS))
        ]
        Path(folder, "pyproject.toml").write_text(pyproject_of_all(projects), encoding="utf-8")
        target = PROJECT / "constraints.txt"
        subprocess.run([*COMPILE, target], cwd=folder, check=True)
    subprocess.run([*COMPILE, "constraints.txt"], cwd=TEMPLATE, check=True)


if __name__ == "__main__":
    main()
