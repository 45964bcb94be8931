"""Production: the image's default. No value here has a default that could be used by mistake."""

import sys

from config.settings.environment import WORKER_BOOT_ERROR, exit_on_misconfiguration

with exit_on_misconfiguration():
    from config.settings.base import *

_REQUIRED = {
    "SECRET_KEY": "50 or more random characters; it signs sessions",
    "ALLOWED_HOSTS": "the names that the site answers to, such as {{ cookiecutter.domain_name }}",
    "DATABASE_URL": "postgres://user:password@host:5432/name",
{% if cookiecutter.broker == "redis" %}
    "CELERY_BROKER_URL": "redis://:password@host:6379/0",
{% else %}
    "CELERY_BROKER_URL": "amqp://user:password@host:5672/vhost",
{% endif %}
{% if cookiecutter.result_backend == "redis" %}
    "CELERY_RESULT_BACKEND": "redis://:password@host:6379/1",
{% endif %}
    "CACHE_URL": "redis://:password@host:6379/0",
    "EMAIL_URL": "smtp+tls://user:password@host:587, or dummymail:// for a site that sends no mail",
}
_missing = [name for name in _REQUIRED if not env(name, default="")]
if _missing:
    for _name in _missing:
        print(f"{_name} is not set: {_REQUIRED[_name]}", file=sys.stderr)
    sys.exit(WORKER_BOOT_ERROR)

DEBUG = False
LOGGING = JSON_LOGGING
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # keeps Celery from replacing our handlers

# The proxy terminates TLS. gunicorn decides which requests came with TLS: config/gunicorn.py.
SECURE_SSL_REDIRECT = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
# Browsers remember for a year that the site and all its subdomains use TLS. This is hard to take back.
# https://docs.djangoproject.com/en/5.2/ref/middleware/#http-strict-transport-security
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True

# Web and workers use a connection to the database for a minute after they opened it, and check that it still works
# before each request or task. Otherwise each request and each task would open a new connection. So each thread of web
# and each process of a worker holds one, which config/settings/capacity.py counts.
# https://docs.djangoproject.com/en/5.2/ref/databases/#persistent-connections
DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}

{% if cookiecutter.web_proxy == "nginx" %}
# Static files are collected, compressed and named by their content when the image is built. nginx sends them.
# https://whitenoise.readthedocs.io/
{% else %}
# Static files are collected, compressed and named by their content when the image is built. gunicorn sends them, with a
# header that lets browsers keep them for ever. https://whitenoise.readthedocs.io/
MIDDLEWARE.insert(
    MIDDLEWARE.index("django.middleware.security.SecurityMiddleware") + 1,
    "whitenoise.middleware.WhiteNoiseMiddleware",
)
{% endif %}
# Leaves out the files under their plain names: templates use the hashed ones, and the image gets smaller.
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
