from django.db import models
from django.db.models.functions import Now


class Run(models.Model):
    """One finished execution."""

    batch = models.CharField(max_length=50)
    way = models.CharField(max_length=10)
    number = models.IntegerField()
    finished_at = models.DateTimeField(db_default=Now())

    def __str__(self):
        return f"{self.batch} {self.way} {self.number}"
