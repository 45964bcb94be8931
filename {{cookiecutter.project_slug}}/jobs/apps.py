"""The configuration of the app."""

from celery import current_app
from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class JobsConfig(AppConfig):
    """Registers the system checks, every app's kinds of jobs, and what workers need for jobs."""

    name = "jobs"

    def ready(self) -> None:
        """Import `jobs.checks`, and `jobs.py` of every app that has one. Let workers consume the queues of jobs."""
        from jobs import checks  # noqa: F401  the import registers the checks

        autodiscover_modules("jobs")
        current_app.steps["worker"].add("jobs.queues:ConsumeCompanions")
