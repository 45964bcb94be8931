"""The Celery tasks of the job engine. Other code submits jobs, and never sends `execute_job` itself."""

from celery import Task, shared_task

from jobs import cleanup, executor


@shared_task(bind=True, ignore_result=True)  # the job's row says how it ended
def execute_job(self: Task, job_id: str) -> None:
    """Run the job with this primary key, unless another worker has it. The dispatcher sends this task."""
    executor.execute(job_id, self.request.id or "")


@shared_task(ignore_result=True)  # nobody asks how it ended, and the log says it
def clean_up() -> None:
    """Delete old jobs and their files."""
    cleanup.delete_old_jobs()
