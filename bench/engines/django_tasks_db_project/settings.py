"""https://github.com/RealOrangeOne/django-tasks-db"""

from shared_settings import *  # noqa: F403

INSTALLED_APPS = ["django_tasks_db", "django_tasks_db_project"]
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default"]}}
