from django.contrib import admin

from example.models import TaskRun
from ops.admin import ReadOnlyAdmin


@admin.register(TaskRun)
class TaskRunAdmin(ReadOnlyAdmin):
    list_display = ["finished_at", "task_name", "result", "worker", "task_id"]
    list_filter = ["task_name"]
    search_fields = ["task_id"]
    date_hierarchy = "finished_at"
