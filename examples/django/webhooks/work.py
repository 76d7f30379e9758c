"""Stores events, and does their work in a process of its own: `manage.py work`.

A process that is killed after its response loses nothing, because the event is in the table. If the
worker is killed, it does that work again.
"""

import logging
import time
from collections.abc import Callable
from typing import Literal

from django.conf import settings

from webhooks.models import Event

log = logging.getLogger(__name__)
MOST_FAILURES = 5


def keep(key: str, task: str, name: str) -> Literal["accepted", "duplicate"]:
    """Store an event, once. It is on the disk when this returns.

    Args:
        key: Identifies a delivery; all attempts to deliver it have the same key.
        task: The name of the function to call.
        name: The argument of that function.
    """
    _, is_new = Event.objects.get_or_create(key=key, defaults={"task": task, "name": name})
    return "accepted" if is_new else "duplicate"


def run() -> None:
    """Handle one event after the other. After five failures, one is left for a person."""
    log.info("handles the events in %s", settings.FILE)
    waiting = Event.objects.filter(is_done=False, failures__lt=MOST_FAILURES)
    while True:
        event = waiting.order_by("failures", "id").first()
        if event is None:
            time.sleep(0.5)
            continue
        try:
            TASKS[event.task](event.name)
        except Exception:
            log.exception("an event failed: %s", event)
            event.failures += 1
        else:
            event.is_done = True
        event.save()


def ship(order: str) -> None:
    """Do the slow work. It can run twice for one event, so it must bear that."""
    log.info("shipped %r", order)


def deploy(commit: str) -> None:
    """Do the slow work."""
    log.info("deployed %r", commit)


def book(payment: str) -> None:
    """Do the slow work."""
    log.info("booked %r", payment)


TASKS: dict[str, Callable[[str], None]] = {"ship": ship, "deploy": deploy, "book": book}
