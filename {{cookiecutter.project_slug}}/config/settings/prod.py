"""Production: what the image runs unless told otherwise. Nothing here has a default that could run by mistake."""

import sys

from pythonjsonlogger.core import RESERVED_ATTRS

from config.settings.environment import CAN_NOT_BOOT, errors_in_one_line

with errors_in_one_line():
    from config.settings.base import *

_REQUIRED = {
    "SECRET_KEY": "50 or more random characters; it signs sessions",
    "ALLOWED_HOSTS": "the names that the site answers to, such as {{ cookiecutter.domain_name }}",
    "DATABASE_URL": "postgres://user:password@host:5432/name",
{% if cookiecutter.broker == "redis" %}
    "TASK_BROKER_URL": "redis://:password@host:6379/0",
{% else %}
    "TASK_BROKER_URL": "amqp://user:password@host:5672/vhost",
{% endif %}
{% if cookiecutter.result_backend == "redis" %}
    "TASK_RESULTS_URL": "redis://:password@host:6379/1",
{% endif %}
}
_missing = [name for name in _REQUIRED if not env(name, default="")]
if _missing:
    for _name in _missing:
        print(f"{_name} is not set: {_REQUIRED[_name]}", file=sys.stderr)
    sys.exit(CAN_NOT_BOOT)

DEBUG = False

# TLS ends at the proxy. Which requests came with it, gunicorn says: config/gunicorn.py.
SECURE_SSL_REDIRECT = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
# Browsers remember for a year that the site has TLS, on all its subdomains. Hard to take back.
# https://docs.djangoproject.com/en/5.2/ref/middleware/#http-strict-transport-security
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True

# Web keeps a connection to the database for a minute after a request, and looks whether it still lives before the next
# one. Without: a connect for each request. Price: each thread holds one, which ops/checks.py counts. Celery closes its
# own before and after each task, whatever stands here.
# https://docs.djangoproject.com/en/5.2/ref/databases/#persistent-connections
DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}

{% if cookiecutter.web_proxy == "nginx" %}
# Static files are collected, packed and named by their content at build, and sent by nginx.
# https://whitenoise.readthedocs.io/
{% else %}
# Static files are collected, packed and named by their content at build, and sent by gunicorn itself, with a header
# that lets browsers keep them for ever. https://whitenoise.readthedocs.io/
MIDDLEWARE.insert(
    MIDDLEWARE.index("django.middleware.security.SecurityMiddleware") + 1,
    "whitenoise.middleware.WhiteNoiseMiddleware",
)
{% endif %}
# Files under their plain names are left out: templates ask for hashed ones, and the image gets smaller.
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# Each line of the log is an object of JSON: time (UTC), level, logger and message, and where there is one request_id,
# task_id, task_name and traceback. What code adds with `extra` is a field as well. Price: a person needs a program.
# https://nhairs.github.io/python-json-logger/latest/
LOGGING["filters"] = {"context": {"()": "ops.logs.ContextFilter"}}
LOGGING["formatters"]["json"] = {
    "()": "pythonjsonlogger.json.JsonFormatter",
    "fmt": ["time", "levelname", "name", "message"],
    "timestamp": "time",
    "rename_fields": {"levelname": "level", "name": "logger", "exc_info": "traceback"},
    # Left out, because there may be secrets in it: a task's arguments (Celery's `data`), and Django's request.
    "reserved_attrs": [*RESERVED_ATTRS, "data", "request"],
}
LOGGING["handlers"]["console"] |= {"filters": ["context"], "formatter": "json"}
# Celery and gunicorn write by the same handler instead of their own. --loglevel still sets the level of Celery's
# processes, and only what a worker prints when it stops is no such line.
# https://docs.celeryq.dev/en/stable/userguide/configuration.html#worker-hijack-root-logger
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
LOGGING["loggers"] |= {
    "celery.task": {"handlers": ["console"], "propagate": False},
    "multiprocessing": {"handlers": ["console"], "propagate": False},
    "gunicorn.access": {"level": "NOTSET", "propagate": True},
    "gunicorn.error": {"level": "NOTSET", "propagate": True},
}
