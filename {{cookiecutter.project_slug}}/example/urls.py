from django.urls import path

from example import views

app_name = "example"

urlpatterns = [
    path("", views.home, name="home"),
    path("add/", views.send, name="send"),
    path("tasks/<uuid:task_id>/", views.task_detail, name="task"),
]
