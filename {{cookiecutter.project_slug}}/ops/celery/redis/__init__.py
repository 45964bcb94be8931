"""What is special about Redis as the broker: it has no acknowledgements and no dead letters of its own.

transport     takes a message and records this, both in one step. Celery's own transport needs two steps, and can lose
              the message in between. A server that refuses commands counts as down
dead_letters  keeps the messages that no worker can process
task          counts how often a message comes again, and refuses countdowns that are too long for Redis

The settings that belong to it are in one block of config/settings/celery.py, and the server's configuration is
deploy/redis/redis.conf.
"""

from celery import Celery, signals
from kombu.transport import TRANSPORT_ALIASES

from ops.celery.redis import dead_letters


def install(app: Celery) -> None:
    """Prepare a Celery app for Redis: take messages safely, and keep those that no worker can process."""
    TRANSPORT_ALIASES.update(dict.fromkeys(["redis", "rediss"], "ops.celery.redis.transport:Transport"))
    signals.task_unknown.connect(dead_letters.dead_letter_rejected)
    signals.task_rejected.connect(dead_letters.dead_letter_rejected)
