"""Finishes a new project: deletes the files that the answers leave out, and makes .env with fresh secrets.

No network, no git, no Docker.
"""

import os
import re
import secrets
import shutil
import string
from pathlib import Path

# path -> is it kept?
KEEP = {
    "compose.tls.yaml": "{{ cookiecutter.web_proxy }}" == "nginx",
    "deploy/nginx": "{{ cookiecutter.web_proxy }}" == "nginx",
    "deploy/redis/redis.conf": "{{ cookiecutter.__use_redis }}" == "y",
    "jobs/api.py": "{{ cookiecutter.rest_api }}" == "True",
    "jobs/cleanup.py": "{{ cookiecutter.beat }}" == "True",
    "jobs/openapi.py": "{{ cookiecutter.rest_api }}" == "True",
    "ops/leader.py": "{{ cookiecutter.beat }}" == "True",
    "ops/redis_transport.py": "{{ cookiecutter.broker }}" == "redis",
    "ops/scheduler.py": "{{ cookiecutter.beat }}" == "True",
    "tests/jobs/test_api.py": "{{ cookiecutter.rest_api }}" == "True",
    "tests/jobs/test_cleanup.py": "{{ cookiecutter.beat }}" == "True",
    "tests/test_beat.py": "{{ cookiecutter.beat }}" == "True",
    "tests/test_redis_transport.py": "{{ cookiecutter.broker }}" == "redis",
}


def secret() -> str:
    """Return 50 random letters and digits: they need no quoting in a URL, a shell or a YAML file."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(50))


def dotenv(example: str, uid: int, gid: int) -> str:
    """Return `example` with a secret of its own for each `change-me`, and with the ids of who works here."""
    for placeholder, value in [("HOST_UID=1000", f"HOST_UID={uid}"), ("HOST_GID=1000", f"HOST_GID={gid}")]:
        example = example.replace(placeholder, value)
    return re.sub(r"(?m)(?<==)change-me$", lambda match: secret(), example)


def main() -> None:
    for path, keep in KEEP.items():
        if not keep and Path(path).is_dir():
            shutil.rmtree(path)
        elif not keep:
            Path(path).unlink()

    if not Path(".env").exists():  # written over, it would lock the owner of a running stack out of its stores
        write_dotenv()
    print("{{ cookiecutter.project_slug }} is ready. In it: docker compose up --wait, or make local without Docker")


def write_dotenv() -> None:
    """Make .env, readable by its owner only, from .env.example."""
    # Nothing runs as root in a container, so root's own files get the ids that .env.example names. Windows has no ids.
    uid, gid = (os.getuid(), os.getgid()) if hasattr(os, "getuid") and os.getuid() else (1000, 1000)
    content = dotenv(Path(".env.example").read_text(encoding="utf-8"), uid, gid)
    file = os.open(".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(file, "w", encoding="utf-8", newline="\n") as env:
        env.write(content)


if __name__ == "__main__":
    main()
