"""A store in memory: for one process, and for as long as it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from heapq import heappop, heappush
from threading import Lock

from frappe_hooksig.exceptions import ConfigurationError, StoreError
from frappe_hooksig.replay import State

# So many expired ones are forgotten with each claim: more than one, so that none are left over.
_AT_ONCE = 4


class MemoryStore:
    """Remembers deliveries in this process, for all of its threads.

    A server with several processes needs a store that they share: each would handle a repeat once.

    Args:
        max_keys: How many are remembered at most. One that is full refuses new ones, and forgets
            nothing before its time.
        clock: Returns now, in seconds.

    Raises:
        ConfigurationError: `max_keys` is no positive number.
    """

    __slots__ = ("_clock", "_ends", "_entries", "_lock", "_max_keys")

    def __init__(
        self, max_keys: int = 100_000, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if max_keys < 1:
            msg = "max_keys is a number of deliveries, from 1"
            raise ConfigurationError(msg)
        self._max_keys = max_keys
        self._clock = clock
        self._lock = Lock()
        # By key: the token of who has claimed it, or None if it was handled; when that ends.
        self._entries: dict[str, tuple[str | None, float]] = {}
        # The same ends, the next one first. Some are out of date: what counts is the entry's.
        self._ends: list[tuple[float, str]] = []

    def claim(self, key: str, token: str, lease: float) -> State:
        """Do what `Store.claim()` does.

        Raises:
            StoreError: It is full.
        """
        with self._lock:
            now = self._clock()
            entry = self._entries.get(key)
            if entry is not None and entry[1] > now:
                return State.DONE if entry[0] is None else State.IN_FLIGHT
            self._forget(now)
            if len(self._entries) >= self._max_keys and key not in self._entries:
                msg = f"the store is full: it remembers {self._max_keys} deliveries"
                raise StoreError(msg)
            self._put(key, token, now + lease)
            return State.NEW

    def renew(self, key: str, token: str, lease: float) -> bool:
        """Do what `Store.renew()` does."""
        return self._change(key, token, token, lease)

    def complete(self, key: str, token: str, keep: float) -> bool:
        """Do what `Store.complete()` does."""
        return self._change(key, token, None, keep)

    def release(self, key: str, token: str) -> bool:
        """Do what `Store.release()` does."""
        with self._lock:
            if not self._is_held(key, token, self._clock()):
                return False
            del self._entries[key]
            return True

    def __len__(self) -> int:
        """How many it remembers, some of which may have ended."""
        return len(self._entries)

    def _change(self, key: str, token: str, to: str | None, seconds: float) -> bool:
        with self._lock:
            now = self._clock()
            if not self._is_held(key, token, now):
                return False
            self._put(key, to, now + seconds)
            return True

    def _is_held(self, key: str, token: str, now: float) -> bool:
        holder, end = self._entries.get(key, (None, now))
        return holder == token and end > now

    def _put(self, key: str, token: str | None, end: float) -> None:
        self._entries[key] = (token, end)
        heappush(self._ends, (end, key))

    def _forget(self, now: float) -> None:
        """Remove some of those that have ended."""
        for _ in range(_AT_ONCE):
            if not self._ends or self._ends[0][0] > now:
                break
            end, key = heappop(self._ends)
            if self._entries.get(key, (None, end + 1))[1] == end:
                del self._entries[key]
