from typing import Any

from django.core.management.base import BaseCommand

from jobs import cleanup


class Command(BaseCommand):
    help = "Delete the jobs that ended more than JOBS_RETENTION_DAYS ago, and files whose job no longer exists."

    def handle(self, *args: Any, **options: Any) -> None:
        cleanup.delete_old_jobs()
