from django.db import models


class Widget(models.Model):
    name = models.CharField(max_length=140)
    manual = models.FileField(upload_to="manuals")

    def __str__(self):
        return self.name
