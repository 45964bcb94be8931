"""The project's settings, URLs and Celery app."""

# `shared_task` binds to the app that was created last. Importing the app here makes every process use this one;
# otherwise a web process would publish its tasks to a broker on localhost.
# https://docs.celeryq.dev/en/stable/django/first-steps-with-django.html
from config.celery import app as celery_app

__all__ = ["celery_app"]
