"""What every task has unless it says otherwise: config/celery.py makes this the base of each @shared_task."""

from celery.contrib.django.task import DjangoTask
from celery.exceptions import Reject, Retry
{% if cookiecutter.broker == "redis" %}
from celery.utils.time import get_exponential_backoff_interval, maybe_iso8601, maybe_make_aware
from django.conf import settings
{% else %}
from celery.utils.time import get_exponential_backoff_interval
{% endif %}
from django.db import InterfaceError, OperationalError
from redis import exceptions as redis

{% if cookiecutter.broker == "redis" %}
from ops import dead_letters

{% endif %}
# What a database or a cache raises that is away, restarts, or has closed the connection.
LOST_CONNECTION = (OperationalError, InterfaceError, redis.ConnectionError, redis.TimeoutError)
# How often a task is tried again after one of them, and the longest pause in between (seconds). The pauses double and
# are random, so that not all tasks come back in the same moment: about a quarter of an hour in all.
RECONNECTS = 30
LONGEST_PAUSE = 60


class Task(DjangoTask):
    """A task that a database's restart does not fail, with limits for one that kills its worker. Celery's for Django,
    which has delay_on_commit().
    """

    # Retries by self.retry(), and after the loss of the worker's process: five, ten seconds apart. Celery's own are
    # three, three minutes apart. A task may say otherwise: @shared_task(max_retries=…). Price: a task that always kills
    # its process does so six times. https://docs.celeryq.dev/en/stable/userguide/tasks.html#Task.max_retries
    max_retries = 5
    default_retry_delay = 10
    # The worker's side of a message: what becomes of one that can't be worked on.
    Request = "ops.dead_letters:Request"
{% if cookiecutter.broker == "rabbitmq" %}
    # A message that fits no queue is an error for the publisher; RabbitMQ would drop it without a word. Price: a third
    # of the messages a second. https://www.rabbitmq.com/docs/publishers#unroutable
    mandatory = True
{% endif %}

    def __call__(self, *args, **kwargs):
        """Run the task. In a worker a lost connection to the database or the cache is a reason to try it again later,
        RECONNECTS times; these don't count as retries. Called as a function, or by apply(), it raises what it raises.
        """
        if self.request.called_directly or self.request.is_eager:
            return super().__call__(*args, **kwargs)
{% if cookiecutter.broker == "redis" %}
        dead_letters.count_delivery(self.request)
{% endif %}
        try:
            return self.run(*args, **kwargs)
        except LOST_CONNECTION as error:
            return self.try_again(error)

    def try_again(self, error: Exception):
        """Send this task's message anew, for later. Raises Retry; `error` itself if that was done RECONNECTS times; and
        Reject if the broker is away as well, which leaves the message where it was.
        """
        request = self.request
        headers = request.headers or {}
        reconnects = headers.get("reconnects", 0)
        if reconnects >= RECONNECTS:
            raise error
        pause = 1 + get_exponential_backoff_interval(1, reconnects, LONGEST_PAUSE, full_jitter=True)
        again = self.signature_from_request(
            request, countdown=pause, retries=request.retries, headers={**headers, "reconnects": reconnects + 1}
        )
        try:
            again.apply_async()
        except Exception as refused:  # brokers raise what they like
            raise Reject(refused, requeue=True) from error
        raise Retry(exc=error, when=pause, sig=again)

    def retry(self, *args, **options):
        """Celery's, but a retry that the broker does not take leaves the message where it was; Celery drops it."""
        try:
            return super().retry(*args, **options)
        except Reject as refused:
            raise Reject(refused.reason, requeue=True) from refused
{% if cookiecutter.broker == "redis" %}

    def apply_async(self, args=None, kwargs=None, *, countdown: float | None = None, eta=None, **options):
        """Celery's. Raises ValueError for a countdown, or the time until eta, of more than LONGEST_COUNTDOWN seconds:
        Redis would hand out the message again and again while it waits in a worker.
        """
        pause = countdown or 0
        if eta is not None:
            pause = (maybe_make_aware(maybe_iso8601(eta)) - self.app.now()).total_seconds()
        if pause > settings.LONGEST_COUNTDOWN:
            longest = settings.LONGEST_COUNTDOWN
            raise ValueError(f"{self.name} in {pause:.0f} s: at most {longest} s are possible, see LONGEST_COUNTDOWN")
        return super().apply_async(args, kwargs, countdown=countdown, eta=eta, **options)
{% endif %}
