from celery import current_app
from django.core.management.base import BaseCommand, CommandError
from kombu.exceptions import OperationalError

from ops import dead_letters


class Command(BaseCommand):
    help = "Show the messages that no worker can work on, one a line; send them again, or delete them."

    def add_arguments(self, parser):
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--send-again", action="store_true", help="put them back into the queue that they came from")
        what.add_argument("--delete", action="store_true", help="throw them away")
        parser.add_argument("ids", nargs="*", metavar="ID", help="a task's id; all of them if none is named")

    def handle(self, *args, ids, send_again, delete, **options):
        try:
            with current_app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1)
                with dead_letters.letters(connection) as letters:
                    chosen = [letter for letter in letters if not ids or letter.headers["id"] in ids]
                    for letter in chosen:
                        self.work_on(letter, send_again, delete)
        except OperationalError as error:
            raise CommandError(f"the broker does not answer: {error}") from error
        if ids and not chosen:
            raise CommandError(f"no dead letter has the id {' or '.join(ids)}")
        if not chosen:
            self.stdout.write("no dead letters")

    def work_on(self, letter, send_again: bool, delete: bool) -> None:
        name, task_id = letter.headers["task"], letter.headers["id"]
        done = ""
        if send_again:
            dead_letters.send_again(letter)
            done = "sent again: "
        elif delete:
            letter.ack()
            done = "deleted: "
        arguments = f"{letter.headers.get('argsrepr')} {letter.headers.get('kwargsrepr')}"
        self.stdout.write(f"{done}{task_id} {name} {arguments}")
