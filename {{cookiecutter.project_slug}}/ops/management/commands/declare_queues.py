from types import SimpleNamespace
from typing import Any

from celery import current_app
from celery.worker.consumer.delayed_delivery import DelayedDelivery
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from kombu import Connection
from kombu.exceptions import OperationalError


class Command(BaseCommand):
    """Declare the queues, exchanges and bindings, so that messages can be sent before the first worker has run.

    Workers declare them too. But a broker that keeps messages with a countdown in delay queues refuses or discards them
    until these queues are bound to the queues of the tasks.
    https://github.com/celery/celery/issues/9960
    """

    help = "Create the queues and their bindings in the broker. May be repeated: what exists stays as it is."

    def handle(self, *args: Any, **options: Any) -> None:
        with current_app.connection_for_write() as connection:
            try:
                connection.ensure_connection(max_retries=1)
                self._declare_queues(connection)
                self._declare_delays()
            except (OperationalError, *connection.connection_errors) as error:
                raise CommandError(f"the broker {connection.as_uri()} does not answer: {error}") from error
            except connection.channel_errors as error:  # for example, the broker does not allow this user to do it
                raise CommandError(f"the broker {connection.as_uri()} refuses: {error}") from error

    def _declare_queues(self, connection: Connection) -> None:
        for queue in [*current_app.amqp.queues.values(), settings.DEAD_LETTER_QUEUE]:
            with connection.channel() as channel:
                try:
                    queue(channel).declare()
                except connection.channel_errors as error:
                    raise CommandError(
                        f"the queue {queue.name} can't be declared: {error}. If it exists with other arguments, undo"
                        " the change in config/settings/celery.py, or set a policy, or empty and delete the queue."
                    ) from error

    def _declare_delays(self) -> None:
        """Do what Celery's step does when a worker starts. That step would only log an error."""
        consumer = SimpleNamespace(app=current_app)
        step = DelayedDelivery(consumer)
        if step.include_if(consumer):
            step._setup_delayed_delivery(consumer, current_app.conf.broker_write_url)
