"""Files whose age tells whether a process still works.

A process touches its file again and again while it works, and a health check in compose.yaml looks at the file's age.
Such a check is a `find`, which takes milliseconds, whereas `celery inspect ping` starts Python with the whole project
and asks through the broker.
"""

import tempfile
from pathlib import Path

FOLDER = Path(tempfile.gettempdir())


def file(name: str) -> Path:
    """Return the file that the process called `name` touches, such as /tmp/worker.alive."""
    return FOLDER / f"{name}.alive"
