from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from jobs import home, views

login = LoginView.as_view(template_name="jobs/login.html", extra_context={"name": settings.PROJECT_NAME})

urlpatterns = [
    path("", home.home, name="home"),
    path("add/", home.send_add, name="send-add"),
    path("tasks/<uuid:task_id>/", home.task, name="task"),
    path("login/", login, name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("jobs/", views.job_list, name="jobs"),
    path("jobs/<uuid:pk>/", views.job_page, name="job"),
    path("jobs/<uuid:pk>/cancel/", views.cancel_job, name="job-cancel"),
    path("jobs/<uuid:pk>/download/", views.download, name="job-download"),
    # A kind has the name of a function: never an id's.
    path("jobs/<str:kind>/", views.submit_job, name="job-submit"),
]
