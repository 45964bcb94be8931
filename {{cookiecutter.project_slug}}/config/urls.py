"""Addresses of the project. /livez and /readyz are answered earlier, by ops.health."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path(settings.ADMIN_PATH, admin.site.urls),
{% if cookiecutter.rest_api %}
    path("api/", include("jobs.api")),
{% endif %}
    path("", include("jobs.urls")),
]
