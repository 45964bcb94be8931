from django.urls import path
from foreign import views

urlpatterns = [
    path("count/", views.count),
    path("count/<uuid:task_id>/", views.result),
    path("<int:pk>/manual/", views.manual),
]
