"""A file that a process touches from its own loop; its age says whether the loop still turns.

The health checks in compose.yaml look at the age. That costs a `find` (milliseconds), where `celery inspect ping`
starts a Python with the whole project and asks through the broker.
"""

import tempfile
from pathlib import Path

from celery import bootsteps

WORKER = Path(tempfile.gettempdir(), "worker.alive")
SWEEP = Path(tempfile.gettempdir(), "sweep.alive")
{% if cookiecutter.beat %}
BEAT = Path(tempfile.gettempdir(), "beat.alive")
{% endif %}
INTERVAL = 1.0  # seconds between two touches


class WorkerHeartbeat(bootsteps.StartStopStep):
    """Touches WORKER every INTERVAL seconds from the worker's event loop.

    The loop turns only while the worker is connected to the broker, so the file also grows old while it is not.
    """

    requires = ("celery.worker.components:Timer",)

    def __init__(self, parent, **kwargs):
        super().__init__(parent, **kwargs)
        self.entry = None

    def start(self, parent):
        self.entry = parent.timer.call_repeatedly(INTERVAL, WORKER.touch)

    def stop(self, parent):
        if self.entry:
            self.entry.cancel()
            self.entry = None
