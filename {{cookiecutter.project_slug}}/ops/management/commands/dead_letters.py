from argparse import ArgumentParser
from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand, CommandError
from kombu.exceptions import OperationalError

from ops.celery import dead_letters


class Command(BaseCommand):
    help = "Show the messages that no worker can process, one per line. Can also requeue or delete them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        action = parser.add_mutually_exclusive_group()
        action.add_argument("--requeue", action="store_true", help="move them back to the queue from which they came")
        action.add_argument("--delete", action="store_true", help="delete them")
        parser.add_argument("ids", nargs="*", metavar="ID", help="the ID of a task; without any ID, all messages")

    def handle(self, *args: Any, ids: list[str], requeue: bool, delete: bool, **options: Any) -> None:
        try:
            with current_app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1)
                with dead_letters.held_messages(connection) as messages:
                    chosen = [message for message in messages if not ids or message.headers.get("id") in ids]
                    for message in chosen:
                        self._handle_message(message, requeue, delete)
        except OperationalError as error:
            raise CommandError(f"the broker does not answer: {error}") from error
        if ids and not chosen:
            raise CommandError(f"no dead letter has the ID {' or '.join(ids)}")
        if not chosen:
            self.stdout.write("no dead letters")

    def _handle_message(self, message: Any, requeue: bool, delete: bool) -> None:
        """Requeue or delete a message if asked to, and write a line about it."""
        # A program that is not Celery may have sent the message, without these headers.
        name, task_id = message.headers.get("task"), message.headers.get("id")
        done = ""
        if requeue:
            dead_letters.requeue(message)
            done = "requeued: "
        elif delete:
            message.ack()
            done = "deleted: "
        arguments = f"{message.headers.get('argsrepr')} {message.headers.get('kwargsrepr')}"
        self.stdout.write(f"{done}{task_id} {name} {arguments}")
