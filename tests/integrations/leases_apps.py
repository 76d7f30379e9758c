"""What the apps of test_leases.py share: handlers that are slow, and that ask for their claim."""

from __future__ import annotations

import os
import time
from typing import Any

from frappe_hooksig import Delivery
from frappe_hooksig.replay import Claim, State
from tests.integrations.once_apps import OPTIONS, begin, end, note, stores_of


class Slow:
    """A store that takes a second to renew leases, however many they are.

    Args:
        store: Does the work.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    def claim(self, *args: Any) -> State:
        state: State = self._store.claim(*args)
        return state

    def renew(self, *args: Any) -> Any:
        time.sleep(1)
        return self._store.renew(*args)

    def complete(self, *args: Any) -> bool:
        return bool(self._store.complete(*args))

    def release(self, *args: Any) -> bool:
        return bool(self._store.release(*args))


def work(delivery: Delivery) -> int:
    """Take as long as the delivery says; return what to answer."""
    takes, status = begin(delivery)
    time.sleep(takes)
    return end(delivery, status)


def work_if_held(delivery: Delivery, claim: Claim) -> int:
    """Do the last step only if the claim is still held; return what to answer."""
    note(f"process {os.getpid()}")
    takes, status = begin(delivery)
    time.sleep(takes)
    if claim.seconds_left > 0:
        return end(delivery, status)
    note(f"lost {delivery.json()['n']}")
    return 503


# Another store of the same process.
OTHER_OPTIONS: Any = OPTIONS | {"store": stores_of(os.environ.get("OTHER_STORE", "memory"))[0]}
SLOW_OPTIONS: Any = OPTIONS | {"store": Slow(OPTIONS["store"].store)}
