from django.urls import path

from jobs import views

urlpatterns = [
    path("", views.home, name="home"),
    path("add/", views.send_add, name="send-add"),
    path("tasks/<uuid:task_id>/", views.task, name="task"),
]
