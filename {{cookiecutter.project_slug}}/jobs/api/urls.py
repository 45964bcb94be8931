"""The addresses of the REST API. config/urls.py includes them at /api/."""

from django.urls import path
from rest_framework.routers import DefaultRouter

from jobs.api import views

app_name = "jobs_api"
router = DefaultRouter()
router.include_format_suffixes = False
router.register("jobs", views.JobViewSet)
urlpatterns = [*router.urls, path("schema/", views.SchemaView.as_view(), name="schema")]
