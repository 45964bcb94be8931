"""Finish a new project: delete the files that the answers leave out, and write .env with fresh secrets.

This needs no network, no git and no Docker.
"""

import os
import re
import secrets
import string
import sys
from pathlib import Path

# For each answer: is it chosen, and which paths does only this answer need?
ONLY_WITH = [
    (
        "{{ cookiecutter.__use_jobs }}" == "y",
        [
            "config/settings/jobs.py",
            "docs/jobs.md",
            "example/jobs.py",
            "jobs",
            "tests/example/test_jobs.py",
            "tests/jobs",
        ],
    ),
    (
        "{{ cookiecutter.__use_api }}" == "y",
        ["config/settings/rest_api.py", "docs/rest_api.md", "jobs/api", "tests/jobs/api"],
    ),
    ("{{ cookiecutter.beat }}" == "True", ["docs/beat.md", "ops/celery/beat", "tests/ops/celery/beat"]),
    ("{{ cookiecutter.broker }}" == "redis", ["ops/celery/redis", "tests/ops/celery/redis"]),
    ("{{ cookiecutter.broker }}" == "rabbitmq", ["ops/celery/rabbitmq", "tests/ops/celery/rabbitmq"]),
    ("{{ cookiecutter.__use_redis }}" == "y", ["deploy/redis/redis.conf"]),
    ("{{ cookiecutter.web_proxy }}" == "nginx", ["compose.tls.yaml", "deploy/nginx"]),
]
# The folder in the template that this project was made from. answer_checks.py says where the template is.
SOURCE = Path(r"{{ template_folder }}", "{{ '{{cookiecutter.project_slug}}' }}")


def main() -> None:
    for chosen, paths in ONLY_WITH:
        for path in paths if not chosen else []:
            remove(path)

    if Path(".env").exists() or Path(".git").exists():
        print("This folder had a project. Every file that comes from the template was overwritten. Your changes")
        print("in them are lost: see `git diff`. Other files and .env stayed. `make env` adds new variables to .env.")
    if not Path(".env").exists():  # new passwords would lock the owner of a running stack out of its database
        write_dotenv()
    print("{{ cookiecutter.project_slug }} is ready. In it: docker compose up --wait, or make local without Docker")


def remove(path: str) -> None:
    """Delete a file or folder as far as it comes from the template. `cookiecutter -f` runs in a project that somebody
    works on, so files of their own stay.
    """
    source = SOURCE / path
    if not source.exists():
        sys.exit(f"the template has no {source}, so what the answers leave out can't be deleted")
    for part in [*sorted(source.rglob("*"), reverse=True), source]:  # what is in a folder comes before the folder
        ours = Path(part.relative_to(SOURCE))
        if ours.is_file():
            ours.unlink()
        elif ours.is_dir() and not any(ours.iterdir()):
            ours.rmdir()


def write_dotenv() -> None:
    """Write .env, which only its owner can read, from .env.example."""
    # Our services never run as root, so for root the ids stay those of .env.example. Windows has no ids.
    uid, gid = (os.getuid(), os.getgid()) if hasattr(os, "getuid") and os.getuid() else (1000, 1000)
    content = dotenv(Path(".env.example").read_text(encoding="utf-8"), uid, gid)
    file = os.open(".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(file, "w", encoding="utf-8", newline="\n") as env:
        env.write(content)


def dotenv(example: str, uid: int, gid: int) -> str:
    """Return `example` with a new secret in place of each `change-me`, and with these ids of a user and a group."""
    for placeholder, value in [("HOST_UID=1000", f"HOST_UID={uid}"), ("HOST_GID=1000", f"HOST_GID={gid}")]:
        example = example.replace(placeholder, value)
    return re.sub(r"(?m)(?<==)change-me$", lambda match: secret(), example)


def secret() -> str:
    """Return 50 random letters and digits, which need no quoting in a URL, a shell or a YAML file."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(50))


if __name__ == "__main__":
    main()
