"""Production's settings with the views and tasks of failing.py, and with a file broker unless a test names a server."""

import tempfile
from pathlib import Path

from config.settings.prod import *  # noqa: F403

ROOT_URLCONF = "tests.support.failing"
CELERY_IMPORTS = ["tests.support.failing"]
if CELERY_BROKER_URL.startswith("filesystem"):  # noqa: F405
    _folder = Path(tempfile.gettempdir(), "broker")
    _folder.mkdir(exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_folder),
        "data_folder_out": str(_folder),
        "control_folder": str(_folder),
        "polling_interval": 0.1,
    }
