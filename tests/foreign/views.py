from celery.result import AsyncResult
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, JsonResponse
from django.shortcuts import get_object_or_404
from foreign.models import Widget
from foreign.tasks import count_widgets


def count(request):
    task = count_widgets.delay()
    return JsonResponse({"task_id": task.id})


def result(request, task_id):
    answer = AsyncResult(str(task_id))
    if not answer.ready():
        return JsonResponse({"ready": False})
    return JsonResponse({"ready": True, "count": answer.result})


@login_required
def manual(request, pk):
    widget = get_object_or_404(Widget, pk=pk)
    return FileResponse(widget.manual.open(), as_attachment=True)
