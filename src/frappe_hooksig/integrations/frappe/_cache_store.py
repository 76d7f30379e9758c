"""A store in the cache of a site: the Redis that each Frappe site has."""

from __future__ import annotations

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

    `bench clear-cache` and `bench migrate` empty the cache on Frappe 15 and later, unless an app's
    hooks.py has `persistent_cache_keys = ["hooksig:"]`. As bench sets it up, the cache forgets what
    was used least when its memory is full, and everything when Redis is restarted. What is
    forgotten is handled again if it comes again; where that must not be, insert a document whose
    name is `get_delivery().dedup_key` together with what is done.

    Args:
        prefix: What the names of all keys begin with, after the site's own prefix.
    """

    def __init__(self, prefix: str = "hooksig:") -> None:
        self._prefix = prefix
        # By token: a claim is renewed in a thread, which belongs to no site.
        self._claims: dict[str, _Place] = {}

    def claim(self, key: str, token: str, lease: float) -> State:
        """See `Store.claim()`.

        Raises:
            StoreError: Redis cannot be reached, or refuses.
        """
        place = _Place(frappe.cache(), f"{self._prefix}{key}")
        state = STATES[place.run(CLAIM, token, lease)]
        if state is State.NEW:
            self._claims[token] = place
        return state

    def renew(self, key: str, token: str, lease: float) -> bool:  # noqa: ARG002  # the token's
        """See `Store.renew()`.

        Raises:
            StoreError: As for `claim()`.
        """
        place = self._claims.get(token)
        return place is not None and bool(place.run(RENEW, token, lease))

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
    """A key in the cache of the site that is being served."""

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
            # Not its text: a server may repeat the arguments of AUTH in it.
            msg = f"the cache of {self._site}: {type(error).__name__}"
            raise StoreError(msg) from None
