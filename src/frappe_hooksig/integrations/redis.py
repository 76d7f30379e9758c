"""Stores in Redis or Valkey: for all processes of all hosts that reach it."""

from __future__ import annotations

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

# What the server calls a script once it knows it. redis-py does this too, in `register_script()`,
# but adds a tenth to the time of a claim.
_SHA = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (CLAIM, RENEW, COMPLETE, RELEASE)
}


class RedisStore:
    """Remembers deliveries in Redis from 6.2 on, or in Valkey.

    Let the client give up soon, and not try again by itself: `redis.Redis(..., socket_timeout=1,
    socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))`. Otherwise it may take longer than the 5
    seconds after which Frappe sends again. Also, if the response to a claim got lost, a second
    attempt of the client would find the delivery in flight.

    A delivery that the server loses is handled again if it comes again. Servers lose data by a
    restart without persistence, an eviction, or a failover before a replica has it. With a
    `maxmemory`, set `maxmemory-policy noeviction`: then a full server refuses new deliveries.

    Args:
        client: A client of redis-py, for one server or for a cluster.
        prefix: What the names of all keys begin with. Apps that share a server need one each.

    Raises:
        ConfigurationError: The client is of another kind.
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
            StoreError: The server cannot be reached, or refuses: its memory is full, it is a
                replica, it asks for a password.
        """
        return STATES[self._run(CLAIM, key, claimed(token), milliseconds(lease))]

    def renew(self, key: str, token: str, lease: float) -> bool:
        """See `Store.renew()`.

        Raises:
            StoreError: As for `claim()`.
        """
        return bool(self._run(RENEW, key, claimed(token), milliseconds(lease)))

    def complete(self, key: str, token: str, retention: float) -> bool:
        """See `Store.complete()`.

        Raises:
            StoreError: As for `claim()`, but a full memory does not matter.
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
            raise _explained(error) from None  # it has the whole text
        return result


class AsyncRedisStore:
    """`RedisStore` for asyncio.

    Args:
        client: A client of redis.asyncio, for one server or for a cluster. It belongs to one event
            loop, and the store with it.
        prefix: As for `RedisStore`, with which it may share the deliveries.

    Raises:
        ConfigurationError: The client is of another kind.
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

    async def renew(self, key: str, token: str, lease: float) -> bool:
        """See `Store.renew()`.

        Raises:
            StoreError: As for `claim()`.
        """
        return bool(await self._run(RENEW, key, claimed(token), milliseconds(lease)))

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
            raise _explained(error) from None  # it has the whole text
        return result


def _wrong(client: object, needed: str) -> str:
    given = f"{type(client).__module__}.{type(client).__qualname__}"
    return f"needs a client of redis-py such as {needed}, not a {given}"


def _explained(error: Exception) -> StoreError:
    # A server repeats the arguments of a command that it does not know; AUTH has a password.
    text = str(error).partition(", with args beginning with")[0]
    return StoreError(f"the store in Redis: {type(error).__name__}: {text}")
