"""Finishes a new project: deletes the files that the answers leave out, and makes .env with fresh secrets.

No network, no git, no Docker.
"""

import os
import secrets
import string
from pathlib import Path

# path -> is it kept?
KEEP = {
    "deploy/redis/redis.conf": "{{ cookiecutter.__use_redis }}",
    "ops/scheduler.py": {{ cookiecutter.beat }},
    "tests/test_beat.py": {{ cookiecutter.beat }},
}


def secret() -> str:
    """Return 50 random letters and digits: they need no quoting in a URL, a shell or a YAML file."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(50))


def dotenv(example: str, uid: int, gid: int) -> str:
    """Return `example` with a secret of its own for each `change-me` behind a `=`, and the ids of who works here."""
    lines = [line.removesuffix("change-me") + secret() if line.endswith("=change-me") else line for line in example.split("\n")]
    return "\n".join(lines).replace("HOST_UID=1000", f"HOST_UID={uid}").replace("HOST_GID=1000", f"HOST_GID={gid}")


def main() -> None:
    for path, keep in KEEP.items():
        if not keep:
            Path(path).unlink()

    # Nothing runs as root in a container, so root's own files get the ids that .env.example names.
    # Windows has no ids.
    uid, gid = (os.getuid(), os.getgid()) if hasattr(os, "getuid") and os.getuid() else (1000, 1000)
    file = os.open(".env", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(file, "w", encoding="utf-8", newline="\n") as env:
        env.write(dotenv(Path(".env.example").read_text(encoding="utf-8"), uid, gid))


if __name__ == "__main__":
    main()
