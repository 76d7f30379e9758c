"""A store in memory: for one process, and for as long as it runs."""

from __future__ import annotations

import logging
import os
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from frappe_hooksig.exceptions import ConfigurationError, StoreError
from frappe_hooksig.replay._protocol import State
from frappe_hooksig.replay._workers import is_one_of_several

_log = logging.getLogger("frappe_hooksig")

# How often claims delete expired entries. To stay fast, one claim deletes only so many of them in
# each group.
_EVERY = 0.01  # seconds
_AT_ONCE = 64

# Before Python 3.12, looking up a member of an Enum takes a tenth of a claim's time.
_NEW = State.NEW

# When the entry ends; its key; the token of its claim, or None if the delivery was handled.
_Entry: TypeAlias = tuple[float, str, str | None]


# The id of this process. To ask the system for it would take a tenth of a claim's time.
_process = os.getpid()


def _enter_process() -> None:
    global _process  # noqa: PLW0603  # a fork changes it, and nothing else
    _process = os.getpid()


# Windows cannot fork, and has no such function.
getattr(os, "register_at_fork", dict)(after_in_child=_enter_process)

# The processes that have been warned.
_warned: set[int] = set()


class MemoryStoreWarning(UserWarning):
    """Several processes use a `MemoryStore` each, so each of them handles the same delivery."""


class MemoryStore:
    """Remembers deliveries in this process, for all of its threads.

    Use it only if the server has one process. Several processes need a store that they share.
    Otherwise, each process handles the same delivery once. If a process finds out that it is not
    the only one, it issues a `MemoryStoreWarning` and logs the same message.

    Args:
        max_keys: Largest number of deliveries to remember. A full store refuses new deliveries, and
            never forgets one early.
        clock: Returns the current time, in seconds.

    Raises:
        ConfigurationError: `max_keys` is not a positive number.
    """

    __slots__ = ("_clock", "_due", "_ends", "_entries", "_locks", "_made_in", "_max_keys")

    def __init__(
        self, max_keys: int = 100_000, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if max_keys < 1:
            msg = "max_keys= must be a number of deliveries, 1 or more"
            raise ConfigurationError(msg)
        self._max_keys = max_keys
        self._clock = clock
        # The lock of each process, by its id. A lock that was made before a fork may be held by a
        # thread that the fork did not copy; one made before gevent patched threads is of no use.
        self._locks: dict[int, threading.Lock] = {}
        self._made_in = _process
        self._entries: dict[str, _Entry] = {}
        # The same entries, grouped by duration. In each group, the entry that ends next comes
        # first, without sorting. An app has only a few durations. An entry is stale if it is not in
        # the dict any more.
        self._ends: dict[float, deque[_Entry]] = {}
        # When to look for expired entries next.
        self._due = clock()

    def claim(self, key: str, token: str, lease: float) -> State:
        """See `Store.claim()`.

        Raises:
            StoreError: The store is full.
        """
        with self._lock():
            now = self._clock()
            entry = self._entries.get(key)
            if entry is not None and entry[0] > now:
                return State.DONE if entry[2] is None else State.IN_FLIGHT
            if now >= self._due:
                self._forget(now)
            if len(self._entries) >= self._max_keys and key not in self._entries:
                msg = f"the store is full: it remembers {self._max_keys} deliveries (max_keys=)"
                raise StoreError(msg)
            self._put(key, token, now, lease)
            return _NEW

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
        """See `Store.renew()`."""
        return [self._change(key, token, token, lease) for key, token in claims]

    def complete(self, key: str, token: str, retention: float) -> bool:
        """See `Store.complete()`."""
        return self._change(key, token, None, retention)

    def release(self, key: str, token: str) -> bool:
        """See `Store.release()`."""
        with self._lock():
            if not self._is_held(key, token, self._clock()):
                return False
            del self._entries[key]
            return True

    def __len__(self) -> int:
        """Return the number of remembered deliveries, which may include expired ones."""
        return len(self._entries)

    def _lock(self) -> threading.Lock:
        return self._locks.get(_process) or self._first_lock(_process)

    def _first_lock(self, pid: int) -> threading.Lock:
        """Return the lock of a process that uses the store for the first time."""
        is_shared = bool(self._locks)  # the parent uses the store too
        lock = self._locks.setdefault(pid, threading.Lock())
        if pid not in _warned and (is_shared or is_one_of_several(was_forked=pid != self._made_in)):
            _warned.add(pid)
            message = (
                "MemoryStore is used by several processes, and each of them handles the same "
                "delivery: use SQLiteStore(path), which they share"
            )
            _log.warning(message)
            warnings.warn(message, MemoryStoreWarning, stacklevel=4)
        return lock

    def _change(self, key: str, token: str, to: str | None, seconds: float) -> bool:
        with self._lock():
            now = self._clock()
            if not self._is_held(key, token, now):
                return False
            self._put(key, to, now, seconds)
            return True

    def _is_held(self, key: str, token: str, now: float) -> bool:
        end, _, holder = self._entries.get(key, (now, key, None))
        return holder == token and end > now

    def _put(self, key: str, token: str | None, now: float, seconds: float) -> None:
        self._entries[key] = entry = (now + seconds, key, token)
        try:
            self._ends[seconds].append(entry)
        except KeyError:
            self._ends[seconds] = deque((entry,))

    def _forget(self, now: float) -> None:
        """Delete some of the expired entries."""
        self._due = now + _EVERY
        for seconds, ends in list(self._ends.items()):
            for _ in range(_AT_ONCE):
                if not ends or ends[0][0] > now:
                    break
                entry = ends.popleft()
                if self._entries.get(entry[1]) is entry:
                    del self._entries[entry[1]]
            else:
                self._due = now  # the next claim deletes more
            if not ends:
                del self._ends[seconds]
