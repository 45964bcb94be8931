from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename
from django.utils.text import get_text_list

from jobs import ledger, registry
from jobs.models import Job, Trace


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that people look at and may delete."""

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """Nobody edits a job: its status changes by jobs.ledger only, and so do both actions."""

    list_display = ["created_at", "kind", "owner", "status", "progress", "attempts", "finished_at"]
    list_filter = ["status", "kind", "created_at"]
    list_select_related = ["owner"]
    search_fields = ["id", "owner__username", "error", "request_id"]
    date_hierarchy = "created_at"
    actions = ["retry", "cancel"]

    def has_steer_permission(self, request):
        """May this user retry and cancel? Whoever may change jobs, although no form here does."""
        return request.user.has_perm(f"jobs.{get_permission_codename('change', self.opts)}")

    @admin.display(description="progress")
    def progress(self, job):
        return None if job.percent is None else f"{job.percent} %"

    @admin.action(description="Retry failed and cancelled jobs", permissions=["steer"])
    def retry(self, request, jobs):
        again, unknown = 0, set()
        for job in jobs:
            try:
                again += ledger.retry(job)
            except registry.UnknownKind:
                unknown.add(job.kind)
        self.message_user(request, f"{again} of {len(jobs)} wait for a worker again.")
        if unknown:
            kinds = get_text_list(sorted(unknown), "and")
            self.message_user(request, f"No function with @job is called {kinds}.", messages.ERROR)

    @admin.action(description="Cancel unfinished jobs", permissions=["steer"])
    def cancel(self, request, jobs):
        after = [ledger.cancel(job) for job in jobs if not job.finished]
        asked = sum(not job.finished for job in after)
        cancelled = sum(job.status == Job.Status.CANCELLED for job in after)
        self.message_user(request, f"{cancelled} of {len(jobs)} cancelled, {asked} asked to stop.")


@admin.register(Trace)
class TraceAdmin(ReadOnlyAdmin):
    list_display = ["finished_at", "task", "result", "worker", "task_id"]
    list_filter = ["task"]
    search_fields = ["task_id"]
    date_hierarchy = "finished_at"
