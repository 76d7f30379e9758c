"""`manage.py hooksig_worker`: sends what the outbox of the project has."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations.django._outbox_setting import configured_outbox
from frappe_hooksig.outbox import Worker
from frappe_hooksig.outbox._worker import SLOTS


class Command(BaseCommand):
    """Sends until SIGTERM or SIGINT, and waits for what is in flight then."""

    help = "Sends what the outbox in FRAPPE_HOOKSIG_OUTBOX has, until SIGTERM or SIGINT."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options.

        Args:
            parser: The parser of the command.
        """
        parser.add_argument("--once", action="store_true", help="end when nothing is due any more")
        parser.add_argument(
            "--slots",
            type=int,
            default=SLOTS,
            help=f"how many attempts are made at once ({SLOTS})",
        )
        parser.add_argument(
            "--confirm",
            action="store_true",
            help="first make the tables those of this installation, after a move of the database",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Send.

        Args:
            **options: What was typed.
        """
        try:
            outbox, _database = configured_outbox()
            worker = Worker(outbox, slots=options["slots"])
            if options["confirm"]:
                outbox.confirm()
            if options["once"] and not outbox.is_confirmed():
                msg = "the tables were last used by another installation: see --confirm"
                raise CommandError(msg)
            count = worker.run(once=options["once"])
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        outbox.close()
        self.stdout.write(f"{count} attempts")
