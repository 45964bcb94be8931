"""Tests. `make test` uses SQLite and a broker in memory. `make test-docker` uses the stack's database and broker, with
queues of its own, so that the stack's workers don't take the messages of the tests.
"""

from kombu import Queue

from config.settings.base import *
from ops.celery.worker_pool import WorkerPool

SECRET_KEY = "insecure-and-only-for-tests"  # noqa: S105
ALLOWED_HOSTS = ["testserver"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast; no test password is secret
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

if not DATABASE_URL:
    # A file, because a thread can't see a database that another thread has in memory, and the worker is a thread.
    DATABASES["default"]["TEST"] = {"NAME": BASE_DIR / "var" / "test.sqlite3"}

if not CELERY_BROKER_URL:
    CELERY_BROKER_URL = "memory://"
    CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.01}


def _for_tests(name: str) -> Queue:
    """Return the queue that the tests use instead of the queue with this name."""
    its = queue(f"test-{name}")
    its.alias = name
    return its


CELERY_TASK_QUEUES = [queue("test"), *(_for_tests(each.name) for each in CELERY_TASK_QUEUES)]
CELERY_TASK_DEFAULT_QUEUE = "test"
{% if cookiecutter.broker == "rabbitmq" %}
CELERY_TASK_DEFAULT_EXCHANGE = "test"
CELERY_TASK_DEFAULT_ROUTING_KEY = "test"
{% endif %}
{% if cookiecutter.result_backend == "redis" %}

if not CELERY_RESULT_BACKEND:
    CELERY_RESULT_BACKEND = "cache+memory://"
{% endif %}

# A test has one worker, which consumes all queues.
WORKER_POOLS = {"worker": WorkerPool(concurrency=2, replicas=1)}
