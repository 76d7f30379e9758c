"""A worker in a process of its own, as `python -m tests.outbox.worker_app ADDRESS`.

It prints what its outbox has to tell, a line each.
"""

from __future__ import annotations

import sys

from frappe_hooksig.observe import OutboxEvent
from frappe_hooksig.outbox import Worker
from tests.outbox.programs import options_given, outbox_at


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def tell(event: OutboxEvent) -> None:
    say(f"event: {event.kind} {event.reason} {event.message}")


if __name__ == "__main__":
    outbox = outbox_at(sys.argv[1], observe=tell, **options_given())
    say("begins")
    say(f"sent {Worker(outbox).run()}")
