"""The settings of Celery: what each one does, why, and what it costs.

The names are Celery's own in upper case, with CELERY_ in front.
https://docs.celeryq.dev/en/stable/userguide/configuration.html
Times are in seconds unless the name says otherwise.
"""

import sys

{% if cookiecutter.beat %}
from celery.schedules import crontab
{% endif %}
from kombu import Exchange, Queue

{% if cookiecutter.result_backend == "redis" %}
from config.settings.environment import env, exported_url_with_password
{% else %}
from config.settings.environment import env, exported_url_with_password, refuse_variable
{% endif %}

# --- Times: other settings below follow from these. `manage.py check` refuses times that don't fit together -------

# At the soft limit a task gets SoftTimeLimitExceeded and can clean up. At the hard limit its process is killed. A task
# that needs longer must say so, otherwise it is ended: @shared_task(time_limit=…, soft_time_limit=…). Nothing can end a
# thread, so in a pool of threads no limit holds. https://docs.celeryq.dev/en/stable/userguide/workers.html#time-limits
CELERY_TASK_SOFT_TIME_LIMIT = 270
CELERY_TASK_TIME_LIMIT = 300

# How long Docker waits for a stopping worker before it kills it: the same variable is stop_grace_period in
# compose.yaml. A stopping worker finishes its running tasks, but after DRAIN_SECONDS it gives them back to the broker,
# so that it is gone in time (ops/celery/shutdown.py). A deploy can take this long, and tasks that need longer start
# again. https://docs.docker.com/reference/compose-file/services/#stop_grace_period
STOP_GRACE_SECONDS = env.int("STOP_GRACE_SECONDS", default=120)
DRAIN_SECONDS = STOP_GRACE_SECONDS - 20

# --- Broker ------------------------------------------------------------------------------------------------------

# How often a message may be delivered again, because its worker died or handed it back, before it moves to
# DEAD_LETTER_QUEUE.
DELIVERY_LIMIT = 10

{% if cookiecutter.broker == "redis" %}
# redis://:password@host:6379/0. If it is not set, settings/dev.py uses files and settings/prod.py refuses to start.
CELERY_BROKER_URL = exported_url_with_password("CELERY_BROKER_URL", "REDIS_PASSWORD")
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Redis knows no acknowledgements. Celery gives a message to another worker if the worker that took it has not
    # acknowledged it within this time. A message may wait in its worker until another task has ended, so this is more
    # than twice the hard limit. Otherwise a task that still runs would be started again. The tasks of a killed worker
    # therefore come back after 15 minutes.
    # https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html#visibility-timeout
    "visibility_timeout": 3 * CELERY_TASK_TIME_LIMIT,
    # How often a worker looks for such messages: in every one of its polls, which are 10 seconds apart, with one short
    # query. By default it looks in every tenth one.
    "unacked_restore_throttle": 1,
    # Without these limits a publish to a server that hangs waits for ever. A server slower than this counts as down.
    # Measured with a frozen server: `delay()` raises an error after 9 seconds on a connection that was used before, and
    # after 6 on a new one. A worker's event loop reads an answer only when it has arrived, so these limits do not apply
    # to an idle worker.
    "socket_connect_timeout": 3,
    "socket_timeout": 3,
    # Find connections that a firewall or a failover dropped without a word, at the cost of a PING now and then.
    "socket_keepalive": True,
    "health_check_interval": 25,
}
# Every time limit must be shorter than this, so that no message is delivered again while its task still runs.
MAX_TASK_TIME_LIMIT = CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] / 2
# The message of a task with a countdown waits in a worker, unacknowledged, and then the task has to run. Both must fit
# into the visibility timeout, so ops/celery/redis/task.py refuses longer countdowns. For anything later, write a row
# that says when it is due, and look for due rows regularly.
{% if cookiecutter.__use_jobs %}
# A job is such a row: submit("name", run_after=…).
{% endif %}
MAX_COUNTDOWN = CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] - CELERY_TASK_TIME_LIMIT
# When a worker loses its connection, its running tasks continue: Redis would not deliver the message of a cancelled one
# again for a long time. A task may run twice after a broken connection. Celery 6 changes its default to True.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False

# Holds the messages that no worker can process: tasks that kill their worker each time, and tasks whose name the worker
# does not know. No worker consumes this queue, so somebody has to look: `manage.py dead_letters`.
DEAD_LETTER_QUEUE = Queue("dead-letters")


def queue(name: str) -> Queue:
    """Return the queue `name`. It is a list of that name in Redis."""
    return Queue(name, Exchange(name), routing_key=name)
{% else %}
# amqp://user:password@host:5672/vhost. If it is not set, settings/dev.py uses files and settings/prod.py refuses to
# start.
CELERY_BROKER_URL = exported_url_with_password("CELERY_BROKER_URL", "RABBITMQ_PASSWORD")
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # `delay()` returns when the broker has the message on disk, not when it has left this process. This costs a round
    # trip. https://www.rabbitmq.com/docs/confirms
    "confirm_publish": True,
    # A broker with a memory or disk alarm stops reading. Without these limits a publish waits until the alarm ends. A
    # broker that needs longer to store a message counts as down, although it may have the message in the end. Measured:
    # `delay()` raises an error after 12 seconds during an alarm. If the broker is frozen, it does so after 9 seconds on
    # a connection that was used before, and after 3 on a new one.
    "read_timeout": 3,
    "write_timeout": 3,
}
# How long one attempt to connect waits for a broker that hangs. Celery's default is 4.
# https://docs.celeryq.dev/en/stable/userguide/configuration.html#broker-connection-timeout
CELERY_BROKER_CONNECTION_TIMEOUT = 3
# When a worker has held a message for this long without acknowledging it, RabbitMQ delivers the message again.
# RabbitMQ's default is 30 minutes. https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout
CONSUMER_TIMEOUT = 3 * CELERY_TASK_TIME_LIMIT
# Every time limit must be shorter than this, so that no message is delivered again while its task still runs. Half of
# the timeout, because a message may wait in its worker until another task has ended.
MAX_TASK_TIME_LIMIT = CONSUMER_TIMEOUT / 2
# When a worker loses its connection, RabbitMQ gives the messages of its running tasks to other workers at once. So the
# worker cancels those tasks, which loses their work so far. Otherwise they would run twice. Tasks in threads can't be
# cancelled, so they do run twice.
# https://docs.celeryq.dev/en/stable/userguide/configuration.html
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
# A worker that has lost its network connects again before RabbitMQ knows that the old connection is gone. Celery's
# default is an exclusive queue for remote control, which belongs to the old connection, so the worker would end. With
# these two settings the queue belongs to no connection. RabbitMQ deletes it ten seconds after its worker has ended.
CELERY_CONTROL_QUEUE_EXCLUSIVE = False
CELERY_CONTROL_QUEUE_DURABLE = True

# Holds the messages that no worker can process: tasks that kill their worker each time, and tasks whose name the worker
# does not know. No worker consumes this queue, so somebody has to look: `manage.py dead_letters`.
DEAD_LETTER_QUEUE = Queue("dead-letters", queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": -1})
# A message that names no queue goes to this exchange, which queue("default") below declares.
CELERY_TASK_DEFAULT_EXCHANGE = "default"
CELERY_TASK_DEFAULT_EXCHANGE_TYPE = "topic"
CELERY_TASK_DEFAULT_ROUTING_KEY = "default"


def queue(name: str) -> Queue:
    """Return the durable queue `name`. RabbitMQ refuses other arguments for a queue that already exists: use a policy,
    or empty and delete the queue first.
    """
    return Queue(
        name,
        # With a direct exchange, a single task with a countdown stalls its worker, so this is a topic exchange.
        # https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/rabbitmq.html#using-quorum-queues
        Exchange(name, type="topic"),
        routing_key=name,
        queue_arguments={
            # On disk, and replicated in a cluster. A message takes more memory and disk than in a classic queue.
            # https://www.rabbitmq.com/docs/quorum-queues
            "x-queue-type": "quorum",
            "x-consumer-timeout": CONSUMER_TIMEOUT * 1000,  # milliseconds
            # A message whose worker died this often goes to DEAD_LETTER_QUEUE, like one that a worker rejects.
            # RabbitMQ's own limit is 20. https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": DEAD_LETTER_QUEUE.name,
            # A message leaves this queue only when the other one has it. This strategy needs the setting below it.
            # https://www.rabbitmq.com/docs/quorum-queues#dead-lettering
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )
{% endif %}


# Workers and web can start before the broker and survive its restarts. By default a worker gives up and exits after 100
# tries. https://docs.celeryq.dev/en/stable/userguide/configuration.html#broker-connection-max-retries
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# A publish is tried twice, the second time on a new connection, because the old one may have been dead for long. With
{% if cookiecutter.broker == "redis" %}
# Celery's default of four tries, and longer timeouts, a sender waited 51 seconds for a broker that hangs. A broker that
# is down for half a second is an error for the sender.
{% else %}
# Celery's default of four tries, a sender waits a minute for a broker with an alarm, and the broker may then have the
# message four times. A broker that is down for half a second is an error for the sender.
{% endif %}
# https://docs.celeryq.dev/en/stable/userguide/calling.html#message-sending-retry
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.2}
# How long a publish waits for a free connection of its process. By default it waits for ever.
CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = 10

# --- Queues ------------------------------------------------------------------------------------------------------

{% if cookiecutter.worker_pools == "split" %}
# Every queue is declared here. If code names any other queue, Celery raises an error at once. By default it would
# create the queue, and messages would pile up in it, because no worker reads it. Each queue belongs to one of
# WORKER_POOLS in capacity.py, so slow tasks of one queue never hold up those of another.
{% else %}
# Every queue is declared here, and a worker consumes all of them unless its option -Q says otherwise. If code names any
# other queue, Celery raises an error at once. By default it would create the queue, and messages would pile up in it if
# no worker reads it.
{% endif %}
# https://docs.celeryq.dev/en/stable/userguide/routing.html
CELERY_TASK_CREATE_MISSING_QUEUES = False
{% if cookiecutter.worker_pools == "split" %}
CELERY_TASK_QUEUES = [queue("default"), queue("io"), queue("cpu")]
{% else %}
CELERY_TASK_QUEUES = [queue("default")]
{% endif %}
CELERY_TASK_DEFAULT_QUEUE = "default"

# --- Delivery: a message leaves the broker when its task has ended, not when it starts ---------------------------

# The task of a worker that was killed is given to another worker. So a task may run twice, and must have the same
# effect when it does. https://docs.celeryq.dev/en/stable/userguide/tasks.html#Task.acks_late
CELERY_TASK_ACKS_LATE = True
# The same when only a process of the worker's pool died (out of memory, segmentation fault). On its own, this setting
# would bring back for ever a task that kills its process each time …
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# … so such a death counts as a retry, and retries have a limit: max_retries in ops/celery/task.py.
CELERY_TASK_RETRY_ON_WORKER_LOST = True
{% if cookiecutter.broker == "rabbitmq" %}
# A worker reserves one message per process from every queue that it consumes, and leaves the others to other workers.
# This costs a round trip to the broker for each task.
# https://docs.celeryq.dev/en/stable/userguide/optimizing.html#prefetch-limits
{% else %}
# A worker reserves one message for each of its processes, and leaves the others to other workers. This costs a round
# trip to the broker for each task. https://docs.celeryq.dev/en/stable/userguide/optimizing.html#prefetch-limits
{% endif %}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1

# --- Worker ------------------------------------------------------------------------------------------------------

# A process of the pool is replaced after this many tasks, which limits what a memory leak can take. It costs a fork.
CELERY_WORKER_MAX_TASKS_PER_CHILD = 1000
# Our subclass of Celery's consumer. It also tells the health check when the worker last took a message, and ends a
# stopping worker whose threads still run tasks.
# https://docs.celeryq.dev/en/stable/userguide/configuration.html#worker-consumer
CELERY_WORKER_CONSUMER = "ops.celery.consumer:Consumer"
# Keeps Celery from closing the database connections around each task, because a new connection takes longer than most
# tasks: CONN_MAX_AGE decides, and ops/celery/database_connections.py closes what may be unusable.
CELERY_DB_REUSE_MAX = sys.maxsize

# --- Results -----------------------------------------------------------------------------------------------------

{% if cookiecutter.result_backend == "none" %}
# No result backend: a task writes its result where it belongs, into a row or a file. Nothing can wait for a result.
# Celery would prefer the variable CELERY_RESULT_BACKEND to this setting, so it must not be set.
refuse_variable("CELERY_RESULT_BACKEND", "this project has no result backend: config/settings/celery.py")
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_EXPIRES = None
{% else %}
{% if cookiecutter.result_backend == "redis" %}
# redis://:password@host:6379/1. If it is not set, settings/dev.py uses files and settings/prod.py refuses to start.
CELERY_RESULT_BACKEND = exported_url_with_password("CELERY_RESULT_BACKEND", "REDIS_PASSWORD")
# How long one attempt to store or to read a result waits for a server that hangs. By default it waits two minutes for
# an answer, and for ever to connect.
CELERY_REDIS_SOCKET_CONNECT_TIMEOUT = 3
CELERY_REDIS_SOCKET_TIMEOUT = 3
CELERY_REDIS_SOCKET_KEEPALIVE = True
# How long `delay()` of a task with a result waits for a result backend that is down: one more try instead of Celery's
# 20. Measured with a frozen server: 9 seconds.
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {"retry_policy": {"max_retries": 1}}
{% else %}
# Rows of django_celery_results in the project's database, which the admin shows. Celery would prefer the variable
# CELERY_RESULT_BACKEND to this setting, so it must not name another backend.
refuse_variable(
    "CELERY_RESULT_BACKEND", "this project keeps its results in the database: config/settings/celery.py", "django-db"
)
CELERY_RESULT_BACKEND = "django-db"
{% endif %}
{% if cookiecutter.result_backend == "redis" %}
# A result that can't be stored is tried again after 0 to 2 seconds, three times. Celery goes through this three times
# for a task: for its result, then for the error that the result was not stored, and then in the worker's main process,
# which takes no message meanwhile. So a worker loses up to 18 seconds for a server that is down (measured: 9), and up
# to 54 for one that hangs (measured: 49). Celery's default would try without end.
{% else %}
# If a kept connection turns out to have been closed, storing the result is tried again on a new one, up to three times,
# after 0 to 2 seconds each. If the database is down, storing is not tried again: the task has run, but its result is
# lost.
{% endif %}
# https://docs.celeryq.dev/en/stable/userguide/configuration.html#result-backend-always-retry
CELERY_RESULT_BACKEND_ALWAYS_RETRY = True
CELERY_RESULT_BACKEND_MAX_RETRIES = 3
CELERY_RESULT_BACKEND_BASE_SLEEP_BETWEEN_RETRIES_MS = 1000
CELERY_RESULT_BACKEND_MAX_SLEEP_BETWEEN_RETRIES_MS = 2000
# Tasks store what they return, as Celery's tutorial lets people expect. @shared_task(ignore_result=True) is for a task
# whose result nobody reads. Measured with add(x, y), it saves
{% if cookiecutter.result_backend == "redis" %}
# seven commands to Redis (two when the task is sent, five when it ends), and 0.9 KB of memory until the result expires.
# With only the result backend down, `delay()` of such a task succeeds, and no worker waits.
{% else %}
# four statements (SELECT, BEGIN, INSERT, COMMIT), and a row until the result expires.
{% endif %}
CELERY_TASK_IGNORE_RESULT = False
# A running task is PENDING, like one that waits. With True it is STARTED. But if that state can't be stored, the task
# fails without having run, because Celery stores it before it calls ops/celery/task.py, which could try again.
# https://docs.celeryq.dev/en/stable/userguide/configuration.html#task-track-started
CELERY_TASK_TRACK_STARTED = False
# Store the task's name, arguments and worker with the result, which makes it larger.
CELERY_RESULT_EXTENDED = True
CELERY_RESULT_EXPIRES = 24 * 3600
{% endif %}

# --- Time --------------------------------------------------------------------------------------------------------

{% if cookiecutter.beat %}
# Schedules are in UTC, whatever TIME_ZONE shows people, so no hour of a schedule comes twice or never.
{% else %}
# Times in messages are in UTC, whatever TIME_ZONE shows people, so no hour comes twice or never.
{% endif %}
CELERY_ENABLE_UTC = True
CELERY_TIMEZONE = "UTC"
{% if cookiecutter.beat %}

# --- Beat --------------------------------------------------------------------------------------------------------

# Keeps the schedule in the database, where the admin shows it, and lets only one of several beats send tasks:
# ops/celery/beat/scheduler.py. The entries below are written to the database when a beat takes over, and win over edits
# in the admin, except for `enabled`. An entry that is removed here is then deleted from the database.
# https://django-celery-beat.readthedocs.io/
CELERY_BEAT_SCHEDULER = "ops.celery.beat.scheduler:Scheduler"
# A message that finds no worker within `expires` seconds is dropped, because the next one will come. What beat missed
# while it was down is sent once. If every time of a schedule matters, set "headers": {"catch_up": True} in the options;
# after a day of downtime, a day's messages are sent.
CELERY_BEAT_SCHEDULE = {
    "clear-sessions": {
        "task": "accounts.tasks.clear_sessions",
        "schedule": crontab(hour="4", minute="0"),
        "options": {"expires": 3600},
    },
{% if cookiecutter.__use_jobs %}
    "clean-up": {
        "task": "jobs.tasks.clean_up",
        "schedule": 3600,
        "options": {"expires": 3600},
    },
{% endif %}
    "tick": {"task": "example.tasks.tick", "schedule": 30, "options": {"expires": 30}},
}
{% endif %}
