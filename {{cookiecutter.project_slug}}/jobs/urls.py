"""The pages of jobs. config/urls.py includes them at /jobs/."""

from django.urls import path

from jobs import views

app_name = "jobs"
urlpatterns = [
    path("", views.job_list, name="list"),
    path("<uuid:pk>/", views.job_detail, name="detail"),
    path("<uuid:pk>/cancel/", views.cancel_job, name="cancel"),
    path("<uuid:pk>/download/", views.download, name="download"),
    # A kind is the name of a Python function, so it never looks like a UUID.
    path("<str:kind>/", views.submit_job, name="submit"),
]
