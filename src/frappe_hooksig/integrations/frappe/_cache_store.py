"""A store in the Redis cache that every Frappe site has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import frappe
from redis.exceptions import RedisError

from frappe_hooksig.exceptions import StoreError
from frappe_hooksig.replay._lua import (
    CLAIM,
    COMPLETE,
    RELEASE,
    RENEW,
    STATES,
    claimed,
    milliseconds,
)
from frappe_hooksig.replay._protocol import State


class CacheStore:
    """Remembers deliveries in `frappe.cache()`, for all processes of a site.

    On Frappe 15 and later, `bench clear-cache` and `bench migrate` empty the cache. To keep the
    deliveries, set `persistent_cache_keys = ["hooksig:"]` in the hooks.py of an app.

    As bench configures it, the cache evicts the least used keys when its memory is full, and loses
    all keys when Redis restarts. The handler runs again if the sender repeats a lost delivery. If
    that must not happen, insert a document with the name `get_delivery().dedup_key`, in the same
    transaction as the handler's work.

    Args:
        prefix: The beginning of every key, after the site's own prefix.
    """

    def __init__(self, prefix: str = "hooksig:") -> None:
        self._prefix = prefix
        # The key of each claim, by its token. The lease renewer runs in a thread that belongs to no
        # site, so it cannot find the site's cache.
        self._claims: dict[str, _Place] = {}

    def claim(self, key: str, token: str, lease: float) -> State:
        """See `Store.claim()`.

        Raises:
            StoreError: Redis cannot be reached, or refuses the command.
        """
        place = _Place(frappe.cache(), f"{self._prefix}{key}")
        state = STATES[place.run(CLAIM, token, lease)]
        if state is State.NEW:
            self._claims[token] = place
        return state

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
        """See `Store.renew()`.

        Raises:
            StoreError: As for `claim()`.
        """
        places = [(self._claims.get(token), token) for _, token in claims]
        return [
            place is not None and bool(place.run(RENEW, token, lease)) for place, token in places
        ]

    def complete(self, key: str, token: str, retention: float) -> bool:  # noqa: ARG002
        """See `Store.complete()`.

        Raises:
            StoreError: As for `claim()`.
        """
        return self._settle(COMPLETE, token, retention)

    def release(self, key: str, token: str) -> bool:  # noqa: ARG002
        """See `Store.release()`.

        Raises:
            StoreError: As for `claim()`.
        """
        return self._settle(RELEASE, token, 0)

    def _settle(self, script: str, token: str, seconds: float) -> bool:
        place = self._claims.pop(token, None)
        return place is not None and bool(place.run(script, token, seconds))


class _Place:
    """A key in the cache of the current site."""

    __slots__ = ("_cache", "_name", "_site")

    def __init__(self, cache: Any, key: str) -> None:
        self._cache = cache
        self._name = cache.make_key(key)
        self._site = frappe.local.site

    def run(self, script: str, token: str, seconds: float) -> int:
        try:
            return int(
                self._cache.eval(script, 1, self._name, claimed(token), milliseconds(seconds))
            )
        except RedisError as error:
            # Leave out the text of the error: it may repeat the arguments of AUTH.
            msg = f"the cache of {self._site} failed: {type(error).__name__}"
            raise StoreError(msg) from None
