"""Connections that are kept for the next message to the same receiver."""

from __future__ import annotations

import os
import time
from threading import Lock
from typing import TypeAlias

from frappe_hooksig.sending._connection import Connection
from frappe_hooksig.sending._target import Target

# How many idle connections are kept, in total and for one receiver.
_MOST = 100
_MOST_OF_RECEIVER = 10

# Servers close idle connections after seconds to minutes. What is sent in that moment is lost, so
# none is used that was idle for long, in seconds.
_LONGEST_IDLE = 15

# How long a connection is used, in seconds: then the name is looked up again.
_OLDEST = 120

_Key: TypeAlias = tuple[bool, str, int]


class Pool:
    """The idle connections of a sender.

    A forked process has its own, because two processes that use one connection would read each
    other's answers.
    """

    def __init__(self) -> None:
        self._of_process: dict[int, _Idle] = {}
        self._is_closed = False

    def take(self, target: Target) -> Connection | None:
        """Return a connection to a receiver that is alive, or None."""
        return self._idle().take((target.is_https, target.host, target.port))

    def keep(self, target: Target, connection: Connection) -> None:
        """Keep a connection. Close one if there are too many, or this one if the pool is closed."""
        self._idle().keep((target.is_https, target.host, target.port), connection)

    def close(self) -> None:
        """Close all of them, and keep none from now on."""
        self._is_closed = True
        self._idle().close()

    def _idle(self) -> _Idle:
        process = os.getpid()
        idle = self._of_process.get(process)
        if idle is None:
            idle = self._of_process.setdefault(process, _Idle(is_closed=self._is_closed))
            for other in self._of_process.keys() - {process}:
                # Closing a copy of a connection sends nothing. A lock of the parent may be taken
                # for ever, so none is waited for.
                self._of_process.pop(other, _Idle()).abandon()
        return idle


class _Idle:
    """The idle connections of one process: those of a receiver from the oldest to the newest."""

    def __init__(self, *, is_closed: bool = False) -> None:
        self._lock = Lock()
        self._is_closed = is_closed
        self._kept: dict[_Key, list[Connection]] = {}

    def take(self, key: _Key) -> Connection | None:
        while True:
            with self._lock:
                several = self._kept.get(key)
                if not several:
                    return None
                connection = several.pop()
                if not several:
                    del self._kept[key]
            if _is_young(connection, time.monotonic()) and connection.is_alive:
                return connection
            connection.close()

    def keep(self, key: _Key, connection: Connection) -> None:
        connection.used = now = time.monotonic()
        with self._lock:
            surplus = [connection] if self._is_closed else self._added(key, connection, now)
        for each in surplus:
            each.close()

    def _added(self, key: _Key, connection: Connection, now: float) -> list[Connection]:
        """Add a connection. Remove and return those that are too many or too old."""
        several = self._kept.pop(key, [])
        self._kept[key] = several  # the receiver that was used last is the last one
        several.append(connection)
        surplus = [several.pop(0)] if len(several) > _MOST_OF_RECEIVER else []
        return surplus + self._outdated(now)

    def _outdated(self, now: float) -> list[Connection]:
        """Remove and return what is too old, or too many, of the receivers used longest ago."""
        count = sum(map(len, self._kept.values()))
        found: list[Connection] = []
        for key, several in [*self._kept.items()]:
            while several and (count > _MOST or not _is_young(several[0], now)):
                found.append(several.pop(0))
                count -= 1
            if several:
                break
            del self._kept[key]
        return found

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            several = [each for kept in self._kept.values() for each in kept]
            self._kept.clear()
        for each in several:
            each.close()

    def abandon(self) -> None:
        """Close all without the lock: nobody else uses them."""
        for kept in [*self._kept.values()]:
            for each in kept:
                each.close()

    __del__ = abandon  # of a sender that nobody has closed


def _is_young(connection: Connection, now: float) -> bool:
    return now - connection.used < _LONGEST_IDLE and now - connection.opened < _OLDEST
