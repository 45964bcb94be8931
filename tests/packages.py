"""All packages that generated projects depend on, of all answers together."""

import tomllib
from collections.abc import Iterable
from pathlib import Path


def pyproject_of_all(projects: Iterable[Path]) -> str:
    """Return a pyproject.toml that asks for all that any of these generated projects asks for."""
    contents = [tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8")) for project in projects]
    dependencies = sorted({line for content in contents for line in content["project"]["dependencies"]})
    dev = sorted({line for content in contents for line in content["dependency-groups"]["dev"]})
    return (
        f'[project]\nname = "all"\nversion = "0"\nrequires-python = "{contents[0]["project"]["requires-python"]}"\n'
        f"dependencies = {dependencies}\n[dependency-groups]\ndev = {dev}\n"
    )
