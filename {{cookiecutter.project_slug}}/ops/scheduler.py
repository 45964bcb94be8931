"""Beat's scheduler: django-celery-beat's, with a heartbeat, and with `expires` in the schedule."""

from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from ops import heartbeat


class Entry(ModelEntry):
    """A row of the schedule."""

    @classmethod
    def _unpack_options(cls, expires=None, **options):
        # django-celery-beat knows Celery's `expires` (seconds) as `expire_seconds` and drops the other name silently.
        return super()._unpack_options(**{"expire_seconds": expires, **options})


class Scheduler(DatabaseScheduler):
    """Reads the schedule from the database, and touches heartbeat.BEAT at each turn of beat's loop."""

    Entry = Entry

    def tick(self, *args, **kwargs):
        """Send what is due. Returns the seconds until the next turn, 5 at most."""
        heartbeat.BEAT.touch()
        return super().tick(*args, **kwargs)
