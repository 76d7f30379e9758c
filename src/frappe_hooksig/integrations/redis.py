"""Stores in Redis or Valkey: for all processes of all hosts that reach it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import redis
import redis.asyncio
from redis.exceptions import RedisClusterException

from frappe_hooksig.exceptions import ConfigurationError, StoreError
from frappe_hooksig.replay import State
from frappe_hooksig.replay.lua import (
    CLAIM,
    COMPLETE,
    RELEASE,
    RENEW,
    STATES,
    claimed,
    milliseconds,
)

__all__ = ["AsyncRedisStore", "RedisStore"]


class RedisStore:
    """Remembers deliveries in Redis from 6.2 on, or in Valkey.

    Have the client give up soon, as the sender waits: redis-py's own limits sum up to more than the
    5 seconds after which Frappe comes again. Such as `redis.Redis(..., socket_timeout=1,
    socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))`.

    What the server forgets, such as by a restart without persistence, an eviction or a failover
    before a replica has got it, is handled again if it comes again. A server with a `maxmemory`
    needs `maxmemory-policy noeviction`: then one that is full refuses new deliveries.

    Args:
        client: A client of redis-py, for one server or for a cluster.
        prefix: What the names of all keys begin with: tells apps apart that share a server.

    Raises:
        ConfigurationError: The client is of another kind.
    """

    def __init__(
        self, client: redis.Redis | redis.RedisCluster, *, prefix: str = "hooksig:"
    ) -> None:
        if not isinstance(client, redis.Redis | redis.RedisCluster):
            raise ConfigurationError(_wrong(client, "redis.Redis"))
        self._prefix = prefix
        self._claim = client.register_script(CLAIM)
        self._renew = client.register_script(RENEW)
        self._complete = client.register_script(COMPLETE)
        self._release = client.register_script(RELEASE)

    def claim(self, key: str, token: str, lease: float) -> State:
        """Do what `Store.claim()` does.

        Raises:
            StoreError: The server cannot be reached, or refuses: its memory is full, it is a
                replica, it asks for a password.
        """
        with _explained():
            state: int = self._claim([self._prefix + key], [claimed(token), milliseconds(lease)])
        return STATES[state]

    def renew(self, key: str, token: str, lease: float) -> bool:
        """Do what `Store.renew()` does.

        Raises:
            StoreError: As for `claim()`.
        """
        with _explained():
            return bool(self._renew([self._prefix + key], [claimed(token), milliseconds(lease)]))

    def complete(self, key: str, token: str, keep: float) -> bool:
        """Do what `Store.complete()` does.

        Raises:
            StoreError: As for `claim()`, but a full memory does not matter.
        """
        with _explained():
            return bool(self._complete([self._prefix + key], [claimed(token), milliseconds(keep)]))

    def release(self, key: str, token: str) -> bool:
        """Do what `Store.release()` does.

        Raises:
            StoreError: As for `complete()`.
        """
        with _explained():
            return bool(self._release([self._prefix + key], [claimed(token)]))


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
        self._prefix = prefix
        self._claim = client.register_script(CLAIM)
        self._renew = client.register_script(RENEW)
        self._complete = client.register_script(COMPLETE)
        self._release = client.register_script(RELEASE)

    async def claim(self, key: str, token: str, lease: float) -> State:
        """Do what `Store.claim()` does.

        Raises:
            StoreError: As for `RedisStore.claim()`.
        """
        with _explained():
            state: int = await self._claim(
                [self._prefix + key], [claimed(token), milliseconds(lease)]
            )
        return STATES[state]

    async def renew(self, key: str, token: str, lease: float) -> bool:
        """Do what `Store.renew()` does.

        Raises:
            StoreError: As for `claim()`.
        """
        with _explained():
            return bool(
                await self._renew([self._prefix + key], [claimed(token), milliseconds(lease)])
            )

    async def complete(self, key: str, token: str, keep: float) -> bool:
        """Do what `Store.complete()` does.

        Raises:
            StoreError: As for `RedisStore.complete()`.
        """
        with _explained():
            return bool(
                await self._complete([self._prefix + key], [claimed(token), milliseconds(keep)])
            )

    async def release(self, key: str, token: str) -> bool:
        """Do what `Store.release()` does.

        Raises:
            StoreError: As for `complete()`.
        """
        with _explained():
            return bool(await self._release([self._prefix + key], [claimed(token)]))


def _wrong(client: object, needed: str) -> str:
    given = f"{type(client).__module__}.{type(client).__qualname__}"
    return f"needs a client of redis-py such as {needed}, not a {given}"


@contextmanager
def _explained() -> Generator[None]:
    try:
        yield
    except (redis.RedisError, RedisClusterException) as error:
        # A server repeats the arguments of a command that it does not know; AUTH has a password.
        text = str(error).partition(", with args beginning with")[0]
        msg = f"the store in Redis: {type(error).__name__}: {text}"
        raise StoreError(msg) from None  # the error has the whole text
