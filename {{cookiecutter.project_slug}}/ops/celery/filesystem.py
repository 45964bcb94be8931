"""Celery's filesystem broker, which development has without Docker, with one change: a message is complete at once.

Celery's own transport makes the file of a message and then writes it. A worker that looks in between takes an empty
file, which ends the worker.
"""

from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """A channel, on which a worker takes messages or a publisher sends them."""

    # kombu's own classes have different names for the second parameter, so it is positional only here.
    def _put(self, queue: str, payload: dict[str, Any], /, **kwargs: Any) -> None:  # type: ignore[override]
        """Write the message to a file that belongs to no queue, and rename it then."""
        name = f"{round(monotonic() * 1000)}_{uuid4()}"
        part = Path(self.data_folder_out, f"{name}.part")
        part.write_text(dumps(payload))
        part.rename(part.with_name(f"{name}.{queue}.msg"))


class Transport(filesystem.Transport):
    """The transport for URLs that begin with filesystem://."""

    Channel = Channel


def install() -> None:
    """Let Celery use this transport."""
    TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"
