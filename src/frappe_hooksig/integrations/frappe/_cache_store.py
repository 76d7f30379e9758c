"""A store in the Redis cache that every Frappe site has."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import frappe
from redis.exceptions import RedisError

from frappe_hooksig.exceptions import StoreError
from frappe_hooksig.replay._lua import (
    CLAIM,
    COMPLETE,
    RELEASE,
    STATES,
    claimed,
    milliseconds,
    renew_over,
)
from frappe_hooksig.replay._protocol import State
from frappe_hooksig.replay._steps import run


class CacheStore:
    """Remembers deliveries in `frappe.cache()`, for all processes of a site.

    On Frappe 15 and later, `bench clear-cache` and `bench migrate` empty the cache. To keep the
    deliveries, set `persistent_cache_keys = ["hooksig:"]` in the hooks.py of an app.

    As bench configures it, the cache evicts the least used keys when its memory is full, and loses
    all keys when Redis restarts. The handler runs again if the sender repeats a lost delivery. If
    that must not happen, insert a document with the name `get_delivery().dedup_key`, in the same
    transaction as the handler's work.

    The clock of the Redis server ends leases. If it is put back, claims last longer by as much.

    Args:
        prefix: The beginning of every key, after the site's own prefix.
    """

    def __init__(self, prefix: str = "hooksig:") -> None:
        self._prefix = prefix
        # Where each claim is, by its key and token. The lease renewer runs in a thread that belongs
        # to no site, so it cannot find the site's cache.
        self._claims: dict[tuple[str, str], _Place] = {}

    def claim(self, key: str, token: str, lease: float) -> State:
        """See `Store.claim()`.

        Raises:
            StoreError: Redis cannot be reached, or refuses the command.
        """
        place = _Place(frappe.cache(), f"{self._prefix}{key}")
        state = STATES[place.run(CLAIM, token, lease)]
        if state is State.NEW:
            self._forget()
            place.ends = time.monotonic() + lease
            self._claims[key, token] = place
        return state

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
        """See `Store.renew()`.

        Raises:
            StoreError: As for `claim()`.
        """
        places = {claim: self._claims[claim] for claim in claims if claim in self._claims}
        by_cache: dict[int, list[tuple[str, str]]] = {}
        for claim, place in places.items():
            by_cache.setdefault(id(place.cache), []).append(claim)
        renewed: dict[tuple[str, str], bool] = {}
        failure: StoreError | None = None
        for batch in by_cache.values():
            try:
                renewed |= zip(batch, _renewed(batch, places, lease), strict=True)
            except StoreError as error:  # noqa: PERF203  # the caches of other sites may work
                failure = error
        ends = time.monotonic() + lease
        for claim, is_held in renewed.items():
            if is_held:
                places[claim].ends = ends
        if failure is not None:
            raise failure
        return [renewed.get(claim, False) for claim in claims]

    def complete(self, key: str, token: str, retention: float) -> bool:
        """See `Store.complete()`.

        Raises:
            StoreError: As for `claim()`.
        """
        return self._settle(COMPLETE, key, token, retention)

    def release(self, key: str, token: str) -> bool:
        """See `Store.release()`.

        Raises:
            StoreError: As for `claim()`.
        """
        return self._settle(RELEASE, key, token, 0)

    def _forget(self) -> None:
        """Forget claims whose lease has ended. After a failed commit, Frappe settles none."""
        now = time.monotonic()
        for claim, place in list(self._claims.items()):
            if place.ends < now:
                self._claims.pop(claim, None)

    def _settle(self, script: str, key: str, token: str, seconds: float) -> bool:
        place = self._claims.pop((key, token), None)
        return place is not None and bool(place.run(script, token, seconds))


class _Place:
    """A key in the cache of the current site.

    Attributes:
        ends: When the lease ends, by the monotonic clock.
    """

    __slots__ = ("cache", "ends", "name", "site")

    def __init__(self, cache: Any, key: str) -> None:
        self.cache = cache
        self.name = cache.make_key(key)
        self.site = frappe.local.site
        self.ends = 0.0

    def run(self, script: str, token: str, seconds: float) -> int:
        with self.explained():
            return int(self.cache.eval(script, 1, self.name, claimed(token), milliseconds(seconds)))

    @contextmanager
    def explained(self) -> Generator[None]:
        try:
            yield
        except RedisError as error:
            # Leave out the text of the error: it may repeat the arguments of AUTH.
            msg = f"the cache of {self.site} failed: {type(error).__name__}"
            raise StoreError(msg) from None


def _renewed(
    claims: Sequence[tuple[str, str]], places: Mapping[tuple[str, str], _Place], lease: float
) -> list[bool]:
    """Renew claims in one cache, on a connection of its own."""
    first = places[claims[0]]
    pool = first.cache.connection_pool
    with first.explained():
        connection = pool.connection_class(**pool.connection_kwargs)
        batch = [(places[claim].name, claim[1]) for claim in claims]
        try:
            return run(renew_over(connection, [batch], lease))
        finally:
            connection.disconnect()
