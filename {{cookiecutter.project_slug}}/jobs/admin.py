"""Jobs in the admin: staff look at them, retry them, cancel them, and delete them."""

from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename, get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import get_text_list

from jobs import lifecycle
from jobs.exceptions import UnknownKind
from jobs.models import Job
from ops.admin import ReadOnlyAdmin


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """Nobody can edit a job, because only jobs/lifecycle.py changes its status. The two actions use it too."""

    list_display = ["created_at", "kind", "owner", "status", "progress", "attempts", "finished_at"]
    list_filter = ["status", "kind", "created_at"]
    list_select_related = ["owner"]
    search_fields = ["id", f"owner__{get_user_model().USERNAME_FIELD}", "error", "publish_error", "request_id"]
    date_hierarchy = "created_at"
    actions = ["retry", "cancel"]

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Return whether this user may retry and cancel jobs, which takes the permission to change them."""
        return request.user.has_perm(f"jobs.{get_permission_codename('change', self.opts)}")

    @admin.display(description="progress")
    def progress(self, job: Job) -> str | None:
        """Return the progress in percent for the list."""
        return None if job.percent is None else f"{job.percent} %"

    @admin.action(description="Retry failed and cancelled jobs", permissions=["manage"])
    def retry(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Let the selected jobs run again, and say which kinds no longer exist."""
        retried, unknown = 0, set()
        for job in jobs:
            try:
                retried += lifecycle.retry(job)
            except UnknownKind:
                unknown.add(job.kind)
        self.message_user(request, f"{retried} of {len(jobs)} are waiting for a worker again.")
        if unknown:
            kinds = get_text_list(sorted(unknown), "and")
            self.message_user(request, f"No function decorated with @job is called {kinds}.", messages.ERROR)

    @admin.action(description="Cancel unfinished jobs", permissions=["manage"])
    def cancel(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Cancel the selected jobs that wait, and ask those that run to stop."""
        after = [lifecycle.cancel(job) for job in jobs if not job.is_finished]
        cancelled = sum(job.status == Job.Status.CANCELLED for job in after)
        stopping = sum(not job.is_finished for job in after)
        self.message_user(request, f"{cancelled} of {len(jobs)} cancelled, {stopping} asked to stop.")
