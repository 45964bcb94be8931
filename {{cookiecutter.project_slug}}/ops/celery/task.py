"""The base class of every task. Each broker has a subclass, which config/celery.py gives to @shared_task."""

from typing import Any, NoReturn

from celery.contrib.django.task import DjangoTask
from celery.exceptions import QueueNotFound, Reject, Retry
from celery.utils.time import get_exponential_backoff_interval
from kombu.exceptions import EncodeError

from ops.lost_connection import is_lost_connection

# How often a task is sent again after a lost connection, and the longest delay before that (seconds). The delays
# double and are random, so that not all tasks come back at the same moment. Together they last 13 minutes on average.
MAX_RECONNECTS = 30
MAX_RECONNECT_DELAY = 60


class Task(DjangoTask):
    """Base class for tasks. Survives database restarts and limits how often a task may kill its worker.

    DjangoTask is Celery's class for Django, which has delay_on_commit().
    """

    # How often self.retry() and the loss of a pool process may send a task again, and the seconds in between. Celery's
    # defaults are 3 times and 3 minutes. A task can set its own values: @shared_task(max_retries=…). A task that always
    # kills its process does so six times. https://docs.celeryq.dev/en/stable/userguide/tasks.html#Task.max_retries
    max_retries = 5
    default_retry_delay = 10
    # Whether a lost connection to the database or the cache sends the task again. A task that must not run twice sets
    # @shared_task(retry_on_lost_connection=False). Then it fails instead.
    retry_on_lost_connection = True
    # Errors of a retry whose message no broker could ever take: its queue does not exist, or its arguments are not
    # JSON. The broker's subclass may add to this.
    unsendable: tuple[type[Exception], ...] = (QueueNotFound, EncodeError)
    # The class that handles a message in the worker's main process. Celery imports it by this name.
    Request = "ops.celery.dead_letters:Request"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task.

        In a worker, a lost connection to the database or the cache sends the task again later, up to MAX_RECONNECTS
        times, which do not count as retries. Other errors of the database, such as a statement that took too long, are
        raised. When the task is called as a function or by apply(), it raises the error.
        """
        if self.request.called_directly or self.request.is_eager:
            return super().__call__(*args, **kwargs)
        return self.run_in_worker(*args, **kwargs)

    def run_in_worker(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task for a message from the broker. The broker's subclass may add to this."""
        try:
            return self.run(*args, **kwargs)
        except Exception as error:
            if not self.retry_on_lost_connection or not is_lost_connection(error):
                raise
            self.retry_lost_connection(error)

    def retry_lost_connection(self, error: Exception) -> NoReturn:
        """Send the task again, for later.

        Raises Retry after the message has been sent, or `error` itself after MAX_RECONNECTS times. If the broker is
        down as well, it raises Reject, which leaves the current message in its queue.
        """
        request = self.request
        headers = request.headers or {}
        reconnects = headers.get("reconnects", 0)
        if reconnects >= MAX_RECONNECTS:
            raise error
        delay = 1 + get_exponential_backoff_interval(1, reconnects, MAX_RECONNECT_DELAY, full_jitter=True)
        signature = self.signature_from_request(
            request, countdown=delay, retries=request.retries, headers={**headers, "reconnects": reconnects + 1}
        )
        try:
            signature.apply_async()
        except Exception as publish_error:  # each transport raises errors of its own
            raise Reject(publish_error, requeue=True) from error
        raise Retry(exc=error, when=delay, sig=signature)

    def retry(self, *args: Any, **options: Any) -> Any:
        """Retry as Celery does, but if the broker does not accept the retry, leave the message in its queue.

        Celery would drop the message. Raises Reject in this case. If no broker could ever take the message, raises that
        error, which is one of `unsendable`. Otherwise raises what Celery's retry() raises.
        """
        try:
            return super().retry(*args, **options)
        except Reject as reject:
            if isinstance(reject.reason, self.unsendable):
                # Left in its queue, the message would come back at once and fail again.
                raise reject.reason from options.get("exc")
            raise Reject(reject.reason, requeue=True) from reject
