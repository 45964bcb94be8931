"""Processes, threads and replicas, and the connections to PostgreSQL that they need. ops/checks.py adds them up."""

from config.settings.environment import env

# gunicorn starts one process for each CPU that web may use, but at least two: if one process hangs or is replaced, the
# other one keeps answering.
WEB_PROCESSES = max(2, env.int("WEB_CPUS", default=1))
# How many requests a process works on at the same time, so that a slow client does not block the others. More threads
# would only share the same CPU. Each thread has its own connection to the database.
WEB_THREADS = 4

WORKER_CONCURRENCY = env.int("WORKER_CONCURRENCY", default=2)
WORKER_REPLICAS = env.int("WORKER_REPLICAS", default=1)
{% if cookiecutter.__use_jobs %}
# One for the task, and one for the lease of the job that the task runs (jobs/attempt.py).
CONNECTIONS_PER_WORKER_PROCESS = 2
{% else %}
CONNECTIONS_PER_WORKER_PROCESS = 1
{% endif %}

POSTGRES_MAX_CONNECTIONS = env.int("POSTGRES_MAX_CONNECTIONS", default=100)
# PostgreSQL keeps these for its superuser. It is PostgreSQL's own default.
# https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-SUPERUSER-RESERVED-CONNECTIONS
SUPERUSER_RESERVED_CONNECTIONS = 3

# How many connections each service may hold at the same time. Web and workers count twice, because during a deploy the
# old containers finish their work while the new ones are already running.
POSTGRES_CONNECTIONS = {
    "web": 2 * WEB_PROCESSES * WEB_THREADS,
    # One more for the worker's main process, which may have to store that a process of its pool was killed.
    "worker": 2 * WORKER_REPLICAS * (CONNECTIONS_PER_WORKER_PROCESS * WORKER_CONCURRENCY + 1),
{% if cookiecutter.__use_jobs %}
    "dispatcher": 2,  # one listens for commits: jobs/notifications.py
{% endif %}
{% if cookiecutter.beat %}
    "beat": 2,  # one holds the lock: ops/celery/beat/leader_lock.py
{% endif %}
    "spare": 10,  # migrate, a backup, a person
}
