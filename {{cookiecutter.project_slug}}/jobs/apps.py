"""The configuration of the app."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class JobsConfig(AppConfig):
    """Registers the system checks and every app's kinds of jobs."""

    name = "jobs"

    def ready(self) -> None:
        """Import `jobs.checks`, and `jobs.py` of every app that has one."""
        from jobs import checks  # noqa: F401  the import registers the checks

        autodiscover_modules("jobs")
