"""https://procrastinate.readthedocs.io/en/stable/howto/django/configuration.html"""

from shared_settings import *  # noqa: F403

INSTALLED_APPS = ["procrastinate.contrib.django", "procrastinate_project"]
