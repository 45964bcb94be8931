from argparse import ArgumentParser
from pathlib import Path

from django.core.management.commands import startapp


class Command(startapp.Command):
    """Django's command with files that `make lint` accepts: Django's files contain unused imports."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(template=str(Path(__file__).parents[1] / "app_template"))
