"""Deletes old jobs, and files whose job is gone.

Run it regularly, for example every hour: as the task jobs.tasks.clean_up or as the command `manage.py clean_up_jobs`.
"""

import logging
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core.files.storage import default_storage
from django.utils import timezone

from jobs import lifecycle
from jobs.models import Job

logger = logging.getLogger(__name__)


def delete_old_jobs() -> None:
    """Delete the jobs that ended more than JOBS_RETENTION_DAYS ago, and the files of jobs that no longer exist."""
    old = Job.objects.filter(finished_at__lt=lifecycle.now_plus(-settings.JOBS_RETENTION_DAYS * 24 * 3600))
    deleted, _ = old.delete()
    orphaned = [name for name in _subfolders("jobs") if _is_orphaned(name)]
    for name in orphaned:
        _delete_folder(f"jobs/{name}")
    logger.info("deleted %d old jobs, and the files of %d jobs that no longer exist", deleted, len(orphaned))


def _subfolders(path: str) -> list[str]:
    return default_storage.listdir(path)[0] if default_storage.exists(path) else []


def _is_orphaned(name: str) -> bool:
    """Return whether the folder `jobs/<name>` belongs to a job that no longer exists."""
    try:
        job_id = UUID(name)
    except ValueError:
        return False  # No job has created this folder.
    if Job.objects.filter(pk=job_id).exists():
        return False
    # A transaction that is still open may have written the files, while its row is not visible yet. No transaction
    # stays open for a day.
    return default_storage.get_modified_time(f"jobs/{name}") < timezone.now() - timedelta(days=1)


def _delete_folder(path: str) -> None:
    folders, files = default_storage.listdir(path)
    for name in folders:
        _delete_folder(f"{path}/{name}")
    for name in files:
        default_storage.delete(f"{path}/{name}")
    default_storage.delete(path)
