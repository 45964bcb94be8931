"""Processes, threads and replicas, and the connections to PostgreSQL that they need. ops/checks.py adds them up."""

from config.settings.environment import env
from ops.celery.worker_pool import WorkerPool

# gunicorn starts one process for each CPU that web may use, but at least two: if one process hangs or is replaced, the
# other one keeps answering.
WEB_PROCESSES = max(2, env.int("WEB_CPUS", default=1))
# How many requests a process works on at the same time, so that a slow client does not block the others. More threads
# would only share the same CPU. Each thread has its own connection to the database.
WEB_THREADS = 4

{% if cookiecutter.worker_pools == "split" %}
# The services of compose.yaml that run tasks. A test compares their queues and their pools with those in compose.yaml.
WORKER_POOLS = {
    # Short tasks. Two processes, so that one slow task does not stop all others.
    "worker-default": WorkerPool(
        queues=("default",),
        concurrency=env.int("WORKER_DEFAULT_CONCURRENCY", default=2),
        replicas=env.int("WORKER_DEFAULT_REPLICAS", default=1),
    ),
    # Tasks that wait for I/O. A waiting thread costs little, and Celery can't add threads later, so there are many.
    "worker-io": WorkerPool(
        queues=("io",),
        has_threads=True,
        concurrency=env.int("WORKER_IO_CONCURRENCY", default=20),
        replicas=env.int("WORKER_IO_REPLICAS", default=1),
    ),
    # Tasks that compute. More processes than CPUs would only share the same CPUs.
    "worker-cpu": WorkerPool(
        queues=("cpu",),
        concurrency=env.int("WORKER_CPU_CONCURRENCY", default=1),
        replicas=env.int("WORKER_CPU_REPLICAS", default=1),
    ),
}
{% else %}
# The services of compose.yaml that run tasks. A test compares them with those in compose.yaml.
WORKER_POOLS = {
    "worker": WorkerPool(
        concurrency=env.int("WORKER_CONCURRENCY", default=2),
        replicas=env.int("WORKER_REPLICAS", default=1),
    ),
}
{% endif %}
{% if cookiecutter.__use_jobs %}
# For each task that runs: one for itself, and one for the lease of the job that it runs (jobs/attempt.py).
CONNECTIONS_PER_TASK = 2
{% else %}
CONNECTIONS_PER_TASK = 1
{% endif %}

POSTGRES_MAX_CONNECTIONS = env.int("POSTGRES_MAX_CONNECTIONS", default={{ cookiecutter.__max_connections }})
# PostgreSQL keeps these for its superuser. It is PostgreSQL's own default.
# https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-SUPERUSER-RESERVED-CONNECTIONS
SUPERUSER_RESERVED_CONNECTIONS = 3


def _worker_connections(pool: WorkerPool) -> int:
    """Return how many connections these workers need. Each worker's main process needs one more, because it may have to
    store that a process of its pool was killed.
    """
    return pool.replicas * (CONNECTIONS_PER_TASK * pool.concurrency + 1)


# How many connections each service may hold at the same time. Web and workers count twice, because during a deploy the
# old containers finish their work while the new ones are already running.
POSTGRES_CONNECTIONS = {
    "web": 2 * WEB_PROCESSES * WEB_THREADS,
    **{service: 2 * _worker_connections(pool) for service, pool in WORKER_POOLS.items()},
{% if cookiecutter.__use_jobs %}
    "dispatcher": 2,  # one listens for commits: jobs/notifications.py
{% endif %}
{% if cookiecutter.beat %}
    "beat": 2,  # one holds the lock: ops/celery/beat/leader_lock.py
{% endif %}
    "spare": 10,  # migrate, a backup, a person
}
