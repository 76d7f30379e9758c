"""What the apps share in which each delivery is handled once: a handler that does as it is told.

Each app has a module of its own, and each process imports only what it needs.

A delivery is `{"n": ..., "statuses": [...], "takes": ...}`: what each attempt is answered with, 0
for an exception, and how many seconds that takes. What is handled is noted in the file NOTES.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from frappe_hooksig import Delivery, StoreError
from frappe_hooksig.replay import Deduplicator, MemoryStore, SQLiteStore, State
from tests.integrations.own_secrets import SECRET


class Broken:
    """A store that cannot be reached."""

    def claim(self, key: str, token: str, lease: float) -> State:
        msg = f"the store of {len(key)}, {len(token)}, {lease} is away"
        raise StoreError(msg)

    complete = release = claim

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[bool]:
        msg = f"the store of {len(claims)}, {lease} is away"
        raise StoreError(msg)


class GetThenSet:
    """What people write: one look, and then one change."""

    def claim(self, key: str, token: str, lease: float) -> State:
        path = Path(os.environ["NOTES"]).with_name(key)
        if path.exists():
            return State.DONE
        time.sleep(0.1)  # a round trip, on a busy day
        path.write_text(f"{token} {lease}")
        return State.NEW

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[bool]:
        return [lease > 0 for _ in claims]

    def complete(self, key: str, token: str, retention: float = 0) -> bool:
        return bool(key and token and retention >= 0)

    release = complete


def stores_of(name: str) -> tuple[Any, Any]:
    """Return the store that a test has chosen, for those that cannot wait and for those that can.

    Args:
        name: Such as "memory", "sqlite:" and a path, or the URL of a Valkey.
    """
    kind, _, where = name.partition(":")
    if kind == "redis":  # as the docs have it: soon, and once
        import redis
        import redis.asyncio
        from redis.asyncio.retry import Retry as AsyncRetry
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        from frappe_hooksig.integrations.redis import AsyncRedisStore, RedisStore

        soon: dict[str, Any] = {"socket_timeout": 1, "socket_connect_timeout": 1}
        client = redis.Redis.from_url(name, **soon, retry=Retry(NoBackoff(), 0))
        # All that come at once to a process want to look at once, which a plain pool refuses.
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            name, **soon, retry=AsyncRetry(NoBackoff(), 0), max_connections=10, timeout=3
        )
        return RedisStore(client), AsyncRedisStore(redis.asyncio.Redis(connection_pool=pool))
    if kind == "sqlite":
        store: Any = SQLiteStore(where, timeout=float(os.environ.get("STORE_TIMEOUT", "20")))
    else:
        store = {"memory": MemoryStore, "broken": Broken, "get-then-set": GetThenSet}[kind]()
    return store, store


STORE, ASYNC_STORE = stores_of(os.environ.get("STORE", "memory"))
# What a test wants otherwise, such as `on_store_error`.
CHOSEN = json.loads(os.environ.get("OPTIONS", "{}"))
OPTIONS: Any = {"secret": SECRET, "store": Deduplicator(STORE, **CHOSEN)}
ASYNC_OPTIONS: Any = OPTIONS | {"store": Deduplicator(ASYNC_STORE, **CHOSEN)}


def note(what: str) -> None:
    """Write a line, which no other process writes into."""
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(f"{what}\n")


def begin(delivery: Delivery) -> tuple[float, int]:
    """Return how long to take, and what to answer then."""
    order = delivery.json()
    begun = f"begin {order['n']}"
    attempt = Path(os.environ["NOTES"]).read_text().splitlines().count(begun)
    note(begun)
    statuses = order.get("statuses", [200])
    return order.get("takes", 0), statuses[min(attempt, len(statuses) - 1)]


def end(delivery: Delivery, status: int) -> int:
    """Note that it was handled."""
    if not status:
        msg = "told to fail"
        raise ValueError(msg)
    note(f"end {delivery.json()['n']}")
    return status
