from django.contrib import admin

from jobs.models import Trace


@admin.register(Trace)
class TraceAdmin(admin.ModelAdmin):
    list_display = ["finished_at", "task", "result", "worker", "task_id"]
    list_filter = ["task"]
    search_fields = ["task_id"]
    date_hierarchy = "finished_at"

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False
