"""The project's URLs. /livez and /readyz are answered before these: ops/web/health.py."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path(settings.ADMIN_PATH, admin.site.urls),
    path("", include("accounts.urls")),
{% if cookiecutter.__use_jobs %}
{% if cookiecutter.__use_api %}
    path("api/", include("jobs.api.urls")),
{% endif %}
    path("jobs/", include("jobs.urls")),
{% endif %}
    path("", include("example.urls")),
]
