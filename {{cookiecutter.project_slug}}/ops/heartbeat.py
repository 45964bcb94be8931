"""Two files of each process, whose age tells what the process can do.

alive  The process touches this file in every turn of its loop, whatever the broker and the database do. (A worker does
       not if it takes no message although it could.) If the file is old, the process is stuck and only a restart
       helps: ops/watchdog.py ends it.
ready  The process touches this file while it can do its work. If the file is old, the health check of compose.yaml
       calls the process unhealthy. It is not ended: a server has to come back, or a time limit ends what hangs.

Looking at a file takes milliseconds, whereas `celery inspect ping` starts Python with the whole project and asks
through the broker.
"""

import tempfile
from pathlib import Path

FOLDER = Path(tempfile.gettempdir())


def alive(name: str) -> Path:
    """Return the file that tells whether the loop of the process called `name` turns, such as /tmp/worker.alive."""
    return FOLDER / f"{name}.alive"


def ready(name: str) -> Path:
    """Return the file that tells whether the process called `name` can do its work, such as /tmp/worker.ready."""
    return FOLDER / f"{name}.ready"


def end(name: str) -> None:
    """Delete both files, because the process called `name` ends and nobody must judge it any more."""
    for file in (alive(name), ready(name)):
        file.unlink(missing_ok=True)
