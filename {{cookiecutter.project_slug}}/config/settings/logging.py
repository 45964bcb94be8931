"""Logging: lines for people in development, JSON for programs in production."""

from django.core.exceptions import ImproperlyConfigured
from pythonjsonlogger.core import RESERVED_ATTRS

from config.settings.environment import env

LOG_LEVEL = env("LOG_LEVEL", default="INFO")
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
    raise ImproperlyConfigured(f"LOG_LEVEL={LOG_LEVEL} must be DEBUG, INFO, WARNING or ERROR")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    # Removes Django's own handlers, which would write each line a second time in development.
    "loggers": {"django": {"handlers": []}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
}

# settings/prod.py uses this one. Each log line is a JSON object with the fields time (UTC), level, logger and message,
# and, where they apply, request_id, task_id, task_name and traceback. Whatever code passes as `extra` becomes a field
# too. https://nhairs.github.io/python-json-logger/latest/
JSON_LOGGING = LOGGING | {
    "filters": {"context": {"()": "ops.logs.ContextFilter"}},
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": ["time", "levelname", "name", "message"],
            "timestamp": "time",
            "rename_fields": {"levelname": "level", "name": "logger", "exc_info": "traceback"},
            # Left out because they may contain secrets: a task's arguments (Celery's `data`) and Django's request.
            "reserved_attrs": [*RESERVED_ATTRS, "data", "request"],
        }
    },
    "handlers": {"console": LOGGING["handlers"]["console"] | {"filters": ["context"], "formatter": "json"}},
    # Celery and gunicorn write through the same handler instead of their own. Celery's option --loglevel still works.
    "loggers": LOGGING["loggers"]
    | {
        "celery.task": {"handlers": ["console"], "propagate": False},
        "multiprocessing": {"handlers": ["console"], "propagate": False},
        "gunicorn.access": {"level": "NOTSET", "propagate": True},
        "gunicorn.error": {"level": "NOTSET", "propagate": True},
    },
}
