"""Every setting of Celery: what it does, why, and what it costs.

The names are Celery's in upper case behind CELERY_: https://docs.celeryq.dev/en/stable/userguide/configuration.html
Times are in seconds unless the name says otherwise.
"""

from kombu import Exchange, Queue

from config.settings.environment import address, env

# --- Times: the numbers that others below follow. ops/checks.py refuses those that don't fit together -------------

# At the soft limit a task gets SoftTimeLimitExceeded and may clean up; at the hard limit its process is killed. A task
# that needs longer says so: @shared_task(time_limit=…, soft_time_limit=…). Price: a forgotten limit ends a long task.
# A pool of threads (-P threads) can't enforce them.
# https://docs.celeryq.dev/en/stable/userguide/workers.html#time-limits
CELERY_TASK_SOFT_TIME_LIMIT = 270
CELERY_TASK_TIME_LIMIT = 300

# How long Docker waits for a stopping worker before it kills it: compose.yaml's stop_grace_period is the same variable.
# A worker that is told to stop ends its running tasks, but after DRAIN_SECONDS it gives them back to the broker
# (ops/drain.py), so that it is gone in time. Price: a deploy may take this long, and tasks that are longer start again.
# https://docs.docker.com/reference/compose-file/services/#stop_grace_period
STOP_GRACE_SECONDS = env.int("STOP_GRACE_SECONDS", default=120)
DRAIN_SECONDS = STOP_GRACE_SECONDS - 20

# --- Broker ------------------------------------------------------------------------------------------------------

{% if cookiecutter.broker == "redis" %}
# redis://:password@host:6379/0. Not set: settings/dev.py falls back to files, settings/prod.py refuses to start.
# Not from CELERY_BROKER_URL or BROKER_URL: Celery would take those variables themselves, and not this setting.
CELERY_BROKER_URL = address("TASK_BROKER_URL", "REDIS_PASSWORD")
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Redis has no acknowledgements: Celery gives a message to another worker when its own has not acknowledged it
    # for this long. More than twice the hard limit, or a task that still runs is started a second time. Price: what
    # a killed worker held comes back after 15 minutes.
    # https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html#visibility-timeout
    "visibility_timeout": 3 * CELERY_TASK_TIME_LIMIT,
    # Look for such messages every 10 seconds. Celery's own: every 100. Price: one short query a worker.
    "unacked_restore_throttle": 1,
    # Without them a publish to a frozen server waits for ever. Price: a server slower than this counts as down.
    "socket_connect_timeout": 5,
    "socket_timeout": 10,
    # Finds connections that a firewall or a failover dropped without a word. Price: a PING now and then.
    "socket_keepalive": True,
    "health_check_interval": 25,
}
# A countdown's message waits in a worker, unacknowledged, and then the task still has to run: both within the
# visibility timeout (seconds). Longer ones are refused (ops/task.py): write down what is due later, and look for it
# regularly.
LONGEST_COUNTDOWN = CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] - CELERY_TASK_TIME_LIMIT
{% else %}
# amqp://user:password@host:5672/vhost. Not set: settings/dev.py falls back to files, settings/prod.py refuses to start.
# Not from CELERY_BROKER_URL or BROKER_URL: Celery would take those variables themselves, and not this setting.
CELERY_BROKER_URL = address("TASK_BROKER_URL", "RABBITMQ_PASSWORD")
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # `delay()` returns when the broker has the message on disk, not when it left this process. Price: a round trip.
    # https://www.rabbitmq.com/docs/confirms
    "confirm_publish": True,
    # A broker with a memory or disk alarm stops reading: without limits a publish waits until the alarm ends.
    # Price: one that needs longer to write a message down counts as away, though it may have it in the end.
    "read_timeout": 5,
    "write_timeout": 5,
}
# A publish is tried twice, on a new connection the second time: the old one may be long dead. Celery's own is four
# times: a minute of waiting for a broker with an alarm, and four messages when the alarm ends. Price: a broker that is
# away for half a second is an error for the sender.
# https://docs.celeryq.dev/en/stable/userguide/calling.html#message-sending-retry
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.2}
{% endif %}

# Workers and web may start before the broker and outlive its restarts. The default gives up after 100 tries and ends
# the worker. https://docs.celeryq.dev/en/stable/userguide/configuration.html#broker-connection-max-retries
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# How long a publish waits for a free connection of its process's pool. The default waits for ever.
CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = 10

# --- Queues ------------------------------------------------------------------------------------------------------

# All queues stand here and a worker consumes all of them unless its -Q says otherwise. A misspelt queue is an error
# at once, not a list that grows with nobody reading it. Price: a new queue is a line here.
# https://docs.celeryq.dev/en/stable/userguide/routing.html
CELERY_TASK_CREATE_MISSING_QUEUES = False
# How often a message is handed to a worker that then dies, before it is kept in DEAD_LETTERS.
DELIVERY_LIMIT = 10
# Keeps what no worker can work on: tasks that kill their worker each time, and tasks of a name that the worker does not
# know. No worker consumes it; `manage.py dead_letters` shows it. Price: somebody has to look.
{% if cookiecutter.broker == "redis" %}
DEAD_LETTERS = Queue("dead-letters")


def queue(name: str) -> Queue:
    """Return the queue `name`: a list of that name in Redis."""
    return Queue(name, Exchange(name), routing_key=name)


{% else %}
DEAD_LETTERS = Queue("dead-letters", queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": -1})


def queue(name: str) -> Queue:
    """Return the durable queue `name`. RabbitMQ refuses other arguments for a queue that exists: use a policy, or
    drain and delete the queue first.
    """
    return Queue(
        name,
        # A topic exchange: with a direct one, a single task with a countdown stalls its worker.
        # https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/rabbitmq.html#using-quorum-queues
        Exchange(name, type="topic"),
        routing_key=name,
        queue_arguments={
            # On disk, and replicated in a cluster. Price: more memory and disk a message than a classic queue.
            # https://www.rabbitmq.com/docs/quorum-queues
            "x-queue-type": "quorum",
            # How long a worker may hold a message (milliseconds). RabbitMQ's 30 minutes would start a task that runs
            # longer again and again: this follows the time limit. https://www.rabbitmq.com/docs/consumers
            "x-consumer-timeout": (CELERY_TASK_TIME_LIMIT + 600) * 1000,
            # A message whose worker died this often goes to DEAD_LETTERS, as does one that a worker refuses.
            # RabbitMQ's own limit is 20, after which it drops the message.
            # https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": DEAD_LETTERS.name,
            # It leaves this queue only when the other one has it. Price: a full queue refuses what comes.
            # https://www.rabbitmq.com/docs/quorum-queues#dead-lettering
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


{% endif %}
CELERY_TASK_QUEUES = [queue("default")]
CELERY_TASK_DEFAULT_QUEUE = "default"
{% if cookiecutter.broker == "rabbitmq" %}
CELERY_TASK_DEFAULT_EXCHANGE = "default"
CELERY_TASK_DEFAULT_EXCHANGE_TYPE = "topic"
CELERY_TASK_DEFAULT_ROUTING_KEY = "default"
{% endif %}

# --- Delivery: a message leaves the broker when its task has ended, not when it starts ---------------------------

# A task whose worker was killed is given to another one. Price: it may run twice, so tasks must be idempotent.
# https://docs.celeryq.dev/en/stable/userguide/tasks.html#Task.acks_late
CELERY_TASK_ACKS_LATE = True
# The same when only the pool's process died (out of memory, segfault). Alone, a task that kills its process each time
# would come back for ever …
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# … so such a loss counts as a retry, and a task has a limit of them: max_retries in ops/task.py.
CELERY_TASK_RETRY_ON_WORKER_LOST = True
# A worker reserves one message for each of its processes, so that others get what it can't start yet. Price: a round
# trip to the broker a task. https://docs.celeryq.dev/en/stable/userguide/optimizing.html#prefetch-limits
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
{% if cookiecutter.broker == "redis" %}
# When the connection is lost, running tasks go on: with Redis a cancelled one would be gone. Price: after a broken
# connection a task may run twice. Celery 6 changes its default to True, hence the explicit line.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
{% else %}
# When the connection is lost, RabbitMQ gives the running tasks' messages to somebody else at once: stop ours, or each
# runs twice. Price: their work so far. https://docs.celeryq.dev/en/stable/userguide/configuration.html
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
{% endif %}

# --- Worker ------------------------------------------------------------------------------------------------------

# A pool process is replaced after this many tasks, which bounds what a leak can take. Price: a fork every 1,000 tasks.
CELERY_WORKER_MAX_TASKS_PER_CHILD = 1000

# --- Results -----------------------------------------------------------------------------------------------------

{% if cookiecutter.result_backend == "redis" %}
# redis://:password@host:6379/1. Not set: settings/dev.py falls back to files, settings/prod.py refuses to start.
CELERY_RESULT_BACKEND = address("TASK_RESULTS_URL", "REDIS_PASSWORD")
CELERY_REDIS_SOCKET_CONNECT_TIMEOUT = 5
CELERY_REDIS_SOCKET_TIMEOUT = 10
CELERY_REDIS_SOCKET_KEEPALIVE = True
# How long `delay()` of a task with a result waits for a result backend that is away: 3 tries instead of Celery's 20.
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {"retry_policy": {"max_retries": 3}}
{% elif cookiecutter.result_backend == "django-db" %}
# Rows of django_celery_results in the project's database, visible in the admin. Price: two writes a task.
CELERY_RESULT_BACKEND = "django-db"
{% else %}
# None: what a task finds out, it writes where it belongs (a row, a file). Nothing can wait for a result.
CELERY_RESULT_BACKEND = None
{% endif %}
{% if cookiecutter.result_backend == "none" %}
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_EXPIRES = None
{% else %}
# Results are stored for the tasks that ask: @shared_task(ignore_result=False). The others cost the backend nothing,
# and `delay()` does not fail when only the backend is down.
CELERY_TASK_IGNORE_RESULT = True
# A worker process whose result backend is away waits for it with the task's result: 20 times, some minutes in all.
# Price: so long it does nothing else.
# https://docs.celeryq.dev/en/stable/userguide/configuration.html#result-backend-always-retry
CELERY_RESULT_BACKEND_ALWAYS_RETRY = True
CELERY_RESULT_BACKEND_MAX_RETRIES = 20
CELERY_RESULT_BACKEND_BASE_SLEEP_BETWEEN_RETRIES_MS = 1000
# STARTED tells a task that runs from one that waits. Price: one more write a task with a result.
CELERY_TASK_TRACK_STARTED = True
# Keeps the task's name, arguments and worker with the result. Price: its size.
CELERY_RESULT_EXTENDED = True
CELERY_RESULT_EXPIRES = 24 * 3600
{% endif %}

# --- Time --------------------------------------------------------------------------------------------------------

# Schedules are in UTC, whatever TIME_ZONE shows people: no hour that comes twice or never.
CELERY_ENABLE_UTC = True
CELERY_TIMEZONE = "UTC"
{% if cookiecutter.beat %}

# --- Beat --------------------------------------------------------------------------------------------------------

# Keeps the schedule in the database, where the admin shows it, and lets one beat of several send: ops/scheduler.py. An
# entry below is written there when a beat begins to lead and wins over edits in the admin, `enabled` aside; an entry
# removed here stays there until it is deleted by hand. https://django-celery-beat.readthedocs.io/
CELERY_BEAT_SCHEDULER = "ops.scheduler:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "tick": {
        "task": "jobs.tasks.tick",
        "schedule": 30,
        # A tick that found no worker for its whole period is dropped: the next one is there already. What beat missed
        # while it was away is sent once, as one tick. An entry whose every tick counts says so, and its messages don't
        # expire: "options": {"expires": 30, "headers": {"catch_up": True}}. Price: after a day away, a day of messages.
        "options": {"expires": 30},
    },
    "clean-up": {
        "task": "jobs.tasks.clean_up",
        "schedule": 3600,
        "options": {"expires": 3600},
    },
}
{% endif %}
