# Create your tasks here

from celery import shared_task
from foreign.models import Widget


@shared_task
def count_widgets():
    return Widget.objects.count()
