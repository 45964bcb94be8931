from django.db import models
from django.db.models.functions import Now


class Run(models.Model):
    """One execution that has finished, or for a task that does harm, that has started."""

    batch = models.CharField(max_length=50)
    sent_as = models.CharField(max_length=10)  # tasks or jobs, or a word for a task that does harm
    number = models.IntegerField()
    finished_at = models.DateTimeField(db_default=Now())

    def __str__(self):
        return f"{self.batch} {self.sent_as} {self.number}"
