"""The worker of the demo, a process of its own: `frappe-hooksig worker` does the same."""

from __future__ import annotations

import sys

from frappe_hooksig.outbox import Outbox, Worker
from frappe_hooksig.sending import AddressGuard

if __name__ == "__main__":
    # In production, leave guard= out. Without observe=, failures are logged.
    guard = AddressGuard(["127.0.0.1"])
    Worker(Outbox(sys.argv[1], guard=guard, observe=(), observe_attempts=())).run()
