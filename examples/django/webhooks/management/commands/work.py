"""`manage.py work`: handle the stored events."""

from django.core.management.base import BaseCommand

from webhooks import work


class Command(BaseCommand):
    """Handle the stored events, until it is stopped. Run it once."""

    help = "Handle the stored events, until it is stopped. Run it once."

    def handle(self, *_args: object, **_options: object) -> None:
        """Run the worker."""
        work.run()
