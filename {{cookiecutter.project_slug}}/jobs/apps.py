from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self):
        from jobs import checks  # noqa: F401  registers itself

        autodiscover_modules("kinds")  # every app's functions with @job
