"""Claims on deliveries: leases that are renewed until the handler has run, and then settled."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from math import inf
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from frappe_hooksig.exceptions import StoreError
from frappe_hooksig.replay._protocol import AsyncStore, State, Store
from frappe_hooksig.replay._steps import Steps

if TYPE_CHECKING:
    from frappe_hooksig.replay._callers import Caller

_log = logging.getLogger("frappe_hooksig")

# A lease is renewed after a third of its time, so that two renewals may fail before it ends.
_SHARE = 3


class Claim:
    """The claim of a handler on its delivery. `get_claim()` returns it."""

    __slots__ = ("_lease",)

    def __init__(self, lease: Lease | None) -> None:
        self._lease = lease

    @property
    def seconds_left(self) -> float:
        """Seconds for which no other process can claim the delivery, unless the lease is renewed.

        It is 0 after the lease has ended, as far as this process knows. Look at it before the
        handler's last step: a process that was stopped for longer than its lease then finds out.
        It is a hint and no proof, because the process may stop again after the look. No store is
        asked. It is infinite if the delivery was accepted without a claim.
        """
        return inf if self._lease is None else max(0.0, self._lease.ends - time.monotonic())

    def __repr__(self) -> str:
        return f"<Claim, {self.seconds_left:.1f} seconds left>"


class Lease:
    """A lease on a delivery.

    Args:
        store: The store.
        caller: Calls the store.
        key: The key of the delivery.
        seconds: How long the lease lasts after it was renewed.
        retention: How long a handled delivery is remembered, in seconds.

    Attributes:
        due: When the next renewal is due, by the monotonic clock.
        ends: When the lease ends, by the monotonic clock, as far as this process knows.
        is_settled: Whether the store was told to complete or release the claim.
        on_loss: Called if the lease had ended before the claim was settled; or None.
        store: The store.
        token: The token of the claim.
    """

    __slots__ = (
        "_caller",
        "_retention",
        "due",
        "ends",
        "is_settled",
        "key",
        "on_loss",
        "seconds",
        "store",
        "token",
    )

    def __init__(
        self, store: Store | AsyncStore, caller: Caller, key: str, seconds: float, retention: float
    ) -> None:
        self.store = store
        self._caller = caller
        self.key = key
        self.seconds = seconds
        self._retention = retention
        self.token = token_hex(16)
        self.due = self.ends = 0.0
        self.is_settled = False
        self.on_loss: Callable[[], object] | None = None

    def claim(self) -> Steps[State]:
        """Claim the delivery. If it is new, renew the lease from now on.

        Raises:
            StoreError: The store is full or cannot be reached, or the lease cannot be renewed.
        """
        state: State = yield partial(self._caller.finish, self._claiming(), self._releasing)
        return state

    def settle(self, status: int) -> Steps[bool]:
        """Complete the claim if the response is a 2xx, else release it.

        Args:
            status: The HTTP status of the handler's response.

        Returns:
            Whether the lease was still running.
        """
        return self.complete() if status in range(200, 300) else self.release()

    def complete(self) -> Steps[bool]:
        """Record that the delivery was handled; return whether the lease was still running."""
        return self._finish(self.store.complete, "completed", self._retention)

    def release(self) -> Steps[bool]:
        """Let the next attempt be handled; return whether the lease was still running."""
        return self._finish(self.store.release, "released")

    def rest(self) -> None:
        """Stop renewing the lease. It then ends by itself."""
        self._caller.renewer.remove(self)

    def put_off(self, now: float) -> None:
        """Schedule the next renewal: a third of the lease from now."""
        self.due = now + self.seconds / _SHARE

    def renewed(self, asked: float) -> None:
        """Note that the lease was renewed, or claimed. `asked` is when the store was asked to."""
        self.ends = asked + self.seconds

    def lost(self) -> None:
        """Note that the lease has ended."""
        self.ends = 0.0

    def _claiming(self) -> Steps[State]:
        asked = time.monotonic()
        state: State = yield partial(
            self._caller.call, self.store.claim, self.key, self.token, self.seconds
        )
        if state is State.NEW:
            self.renewed(asked)
            self.put_off(asked)
            try:
                self._caller.renewer.add(self)
            except RuntimeError as error:  # too many threads, or the process is exiting
                yield from self._releasing()
                msg = f"the lease of a delivery cannot be renewed: {error}"
                raise StoreError(msg) from error
        return state

    def _releasing(self) -> Steps[None]:
        self.rest()
        yield partial(self._caller.call, self.store.release, self.key, self.token)

    def _finish(self, function: Callable[..., Any], what: str, *args: float) -> Steps[bool]:
        self.rest()
        self.is_settled = True
        held: bool = yield partial(self._caller.finish, self._told(function, what, *args))
        return held

    def _told(self, function: Callable[..., Any], what: str, *args: float) -> Steps[bool]:
        """Update the store. Log an error instead of raising it: the response must go out."""
        try:
            held = yield partial(self._caller.call, function, self.key, self.token, *args)
        except StoreError as error:
            _log.error("a delivery was not %s: %s", what, error)  # a traceback would add nothing
            return False
        if not held:
            _log.warning("a delivery was not %s: its lease had already ended", what)
            if self.on_loss is not None:
                self.on_loss()
        return bool(held)
