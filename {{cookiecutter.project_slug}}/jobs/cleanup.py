"""Deletes old jobs, and files that belong to no job. Beat sends jobs.tasks.clean_up."""

import logging
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core.files.storage import default_storage
from django.utils import timezone

from jobs import ledger
from jobs.models import Job

logger = logging.getLogger(__name__)


def clean_up() -> None:
    """Delete jobs that ended more than JOBS_KEEP_DAYS ago, and the files of jobs that are gone."""
    old = Job.objects.filter(finished_at__lt=ledger.after(-settings.JOBS_KEEP_DAYS * 24 * 3600))
    deleted, _ = old.delete()
    folders = [name for name in _folders("jobs") if _is_of_no_job(name)]
    for name in folders:
        _delete(f"jobs/{name}")
    logger.info("deleted %d old jobs and the files of %d", deleted, len(folders))


def _folders(path: str) -> list[str]:
    return default_storage.listdir(path)[0] if default_storage.exists(path) else []


def _is_of_no_job(name: str) -> bool:
    try:
        job_id = UUID(name)
    except ValueError:
        return False  # not ours
    if Job.objects.filter(pk=job_id).exists():
        return False
    # A transaction that is still open may have written files, and not its row. None is open for a day.
    return default_storage.get_modified_time(f"jobs/{name}") < timezone.now() - timedelta(days=1)


def _delete(path: str) -> None:
    folders, files = default_storage.listdir(path)
    for name in folders:
        _delete(f"{path}/{name}")
    for name in files:
        default_storage.delete(f"{path}/{name}")
    default_storage.delete(path)
