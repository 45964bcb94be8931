"""Tests. Without an address in the environment (`make test`): SQLite and a broker in memory. With one
(`make test-docker`): the stack's own database and broker, on a queue of their own, so that the stack's workers don't
take the tests' messages.
"""

from config.settings.base import *

SECRET_KEY = "insecure-and-only-for-tests"  # noqa: S105
ALLOWED_HOSTS = ["testserver"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast, and nothing here is secret
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

if not DATABASE_URL:
    # A file, because the worker's thread can't see another thread's database in memory.
    DATABASES["default"]["TEST"] = {"NAME": BASE_DIR / "var" / "test.sqlite3"}

if not CELERY_BROKER_URL:
    CELERY_BROKER_URL = "memory://"
    CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.01}
CELERY_TASK_QUEUES = [queue("test")]
CELERY_TASK_DEFAULT_QUEUE = "test"
{% if cookiecutter.broker == "rabbitmq" %}
CELERY_TASK_DEFAULT_EXCHANGE = "test"
CELERY_TASK_DEFAULT_ROUTING_KEY = "test"
{% endif %}
{% if cookiecutter.result_backend == "redis" %}

if not CELERY_RESULT_BACKEND:
    CELERY_RESULT_BACKEND = "cache+memory://"
{% endif %}
