"""The configuration of the app."""

from celery import current_app
from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from ops.celery.dead_letters import process_lost
from ops.celery.threads import threads_abandoned


class JobsConfig(AppConfig):
    """Registers the system checks, every app's kinds of jobs, and what workers need for jobs."""

    name = "jobs"

    def ready(self) -> None:
        """Import `jobs.checks`, and `jobs.py` of every app that has one.

        Let workers consume the queues of jobs, and notice the end of a process that runs a job.
        """
        from jobs import checks, lost_processes  # noqa: F401  the import registers the checks

        autodiscover_modules("jobs")
        process_lost.connect(lost_processes.recover_job)
        threads_abandoned.connect(lost_processes.release_jobs_of_threads)
        current_app.steps["worker"].add("jobs.queues:ConsumeCompanions")
