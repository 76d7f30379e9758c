"""Stores in Redis or Valkey, shared by all processes on all hosts that can reach the server."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1

import redis
import redis.asyncio
from redis.exceptions import NoScriptError, RedisClusterException

from frappe_hooksig.exceptions import ConfigurationError, StoreError
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

__all__ = ["AsyncRedisStore", "RedisStore"]

# The server caches each script under its SHA-1. `register_script()` of redis-py uses the same
# digests, but makes a claim 10 % slower.
_SHA = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (CLAIM, RENEW, COMPLETE, RELEASE)
}


class RedisStore:
    """Remembers deliveries in Redis 6.2 or later, or in Valkey.

    Give the client short timeouts and no retries: `redis.Redis(..., socket_timeout=1,
    socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))`. With the defaults, a command may take
    longer than the 5 seconds after which Frappe retries. If a response is lost and the client
    repeats a claim, the repeat finds the delivery in flight.

    The server may lose deliveries: by a restart without persistence, an eviction, or a failover
    before a replica has received them. The handler runs again if the sender repeats such a
    delivery. If the server has a `maxmemory`, set `maxmemory-policy noeviction`: a full server then
    refuses new deliveries and does not forget old ones.

    Args:
        client: A client of redis-py, for one server or for a cluster.
        prefix: The beginning of every key. Give each app on a shared server its own prefix.

    Raises:
        ConfigurationError: The client is not one of redis-py.
    """

    def __init__(
        self, client: redis.Redis | redis.RedisCluster, *, prefix: str = "hooksig:"
    ) -> None:
        if not isinstance(client, redis.Redis | redis.RedisCluster):
            raise ConfigurationError(_wrong(client, "redis.Redis"))
        self._client = client
        self._prefix = prefix

    def claim(self, key: str, token: str, lease: float) -> State:
        """See `Store.claim()`.

        Raises:
            StoreError: The server cannot be reached, or refuses the command: its memory is full, it
                is a replica, or it requires a password.
        """
        return STATES[self._run(CLAIM, key, claimed(token), milliseconds(lease))]

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
        """See `Store.renew()`.

        Raises:
            StoreError: As for `claim()`.
        """
        return [
            bool(self._run(RENEW, key, claimed(token), milliseconds(lease)))
            for key, token in claims
        ]

    def complete(self, key: str, token: str, retention: float) -> bool:
        """See `Store.complete()`.

        Raises:
            StoreError: As for `claim()`, except that a full memory is no error.
        """
        return bool(self._run(COMPLETE, key, claimed(token), milliseconds(retention)))

    def release(self, key: str, token: str) -> bool:
        """See `Store.release()`.

        Raises:
            StoreError: As for `complete()`.
        """
        return bool(self._run(RELEASE, key, claimed(token)))

    def _run(self, script: str, key: str, *args: str | int) -> int:
        key = self._prefix + key
        try:
            try:
                result: int = self._client.evalsha(_SHA[script], 1, key, *args)
            except NoScriptError:
                result = self._client.eval(script, 1, key, *args)
        except (redis.RedisError, RedisClusterException) as error:
            raise _explained(error) from None  # `error` has the unredacted text
        return result


class AsyncRedisStore:
    """`RedisStore` for asyncio.

    Args:
        client: A client of redis.asyncio, for one server or for a cluster. The client belongs to
            one event loop, and so does the store.
        prefix: As for `RedisStore`. Stores of both kinds with one prefix share their deliveries.

    Raises:
        ConfigurationError: The client is not one of redis-py.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis | redis.asyncio.RedisCluster,
        *,
        prefix: str = "hooksig:",
    ) -> None:
        if not isinstance(client, redis.asyncio.Redis | redis.asyncio.RedisCluster):
            raise ConfigurationError(_wrong(client, "redis.asyncio.Redis"))
        self._client = client
        self._prefix = prefix

    async def claim(self, key: str, token: str, lease: float) -> State:
        """See `Store.claim()`.

        Raises:
            StoreError: As for `RedisStore.claim()`.
        """
        return STATES[await self._run(CLAIM, key, claimed(token), milliseconds(lease))]

    async def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
        """See `Store.renew()`.

        Raises:
            StoreError: As for `claim()`.
        """
        return [
            bool(await self._run(RENEW, key, claimed(token), milliseconds(lease)))
            for key, token in claims
        ]

    async def complete(self, key: str, token: str, retention: float) -> bool:
        """See `Store.complete()`.

        Raises:
            StoreError: As for `RedisStore.complete()`.
        """
        return bool(await self._run(COMPLETE, key, claimed(token), milliseconds(retention)))

    async def release(self, key: str, token: str) -> bool:
        """See `Store.release()`.

        Raises:
            StoreError: As for `complete()`.
        """
        return bool(await self._run(RELEASE, key, claimed(token)))

    async def _run(self, script: str, key: str, *args: str | int) -> int:
        key = self._prefix + key
        try:
            try:
                result: int = await self._client.evalsha(_SHA[script], 1, key, *args)
            except NoScriptError:
                result = await self._client.eval(script, 1, key, *args)
        except (redis.RedisError, RedisClusterException) as error:
            raise _explained(error) from None  # `error` has the unredacted text
        return result


def _wrong(client: object, needed: str) -> str:
    given = f"{type(client).__module__}.{type(client).__qualname__}"
    return f"expected a client of redis-py such as {needed}, not a {given}"


def _explained(error: Exception) -> StoreError:
    # An error about an unknown command repeats the arguments, such as the password of AUTH.
    text = str(error).partition(", with args beginning with")[0]
    return StoreError(f"the store in Redis failed: {type(error).__name__}: {text}")
