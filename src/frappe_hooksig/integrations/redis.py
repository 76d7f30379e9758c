"""Stores in Redis or Valkey, shared by all processes on all hosts that can reach the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import AskError, NoScriptError, RedisClusterException

from frappe_hooksig.exceptions import ConfigurationError, StoreError
from frappe_hooksig.replay._lua import (
    CLAIM,
    COMPLETE,
    RELEASE,
    STATES,
    claimed,
    milliseconds,
    renew_over,
    renewals,
)
from frappe_hooksig.replay._protocol import State

__all__ = ["AsyncRedisStore", "RedisStore"]

# The server caches each script under its SHA-1. `register_script()` of redis-py uses the same
# digests, but makes a claim 10 % slower.
_SHA = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (CLAIM, COMPLETE, RELEASE)
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

    The clock of the server ends leases. If it is put back, claims last longer by as much.

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

        It opens a connection of its own to each server concerned, and closes it afterwards. So it
        does not wait for a pool that the handlers have used up.

        Raises:
            StoreError: As for `claim()`.
        """
        named = [(self._prefix + key, token) for key, token in claims]
        try:
            if isinstance(self._client, redis.Redis):
                pool: Any = self._client.connection_pool
                connection = pool.connection_class(**pool.connection_kwargs)
                return renew_over(connection, [named], lease)
            return self._renew_in_cluster(self._client, named, lease)
        except (redis.RedisError, RedisClusterException) as error:
            raise _explained(error) from None  # `error` has the unredacted text

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

    def _renew_in_cluster(
        self, client: Any, claims: Sequence[tuple[str, str]], lease: float
    ) -> list[bool]:
        """Renew claims at each node that has some of them, though another node may fail."""
        renewed: dict[tuple[str, str], bool] = {}
        failure: redis.RedisError | None = None
        for node, batch in _by_node(client, claims):
            each_alone = [[claim] for claim in batch]  # their keys are in different slots
            try:
                try:
                    pool: Any = client.get_redis_connection(node).connection_pool
                    connection = pool.connection_class(**pool.connection_kwargs)
                    results = renew_over(connection, each_alone, lease)
                except (redis.ConnectionError, AskError):
                    # The node is down or has given up a slot: let the client look for the new one.
                    results = [
                        bool(each)
                        for command in renewals(each_alone, lease)
                        for each in client.execute_command(*command)
                    ]
            except redis.RedisError as error:
                failure = error
            else:
                renewed |= zip(batch, results, strict=True)
        if failure is not None:
            raise failure
        return [renewed[claim] for claim in claims]

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

        It opens connections as `RedisStore.renew()` does.

        Raises:
            StoreError: As for `claim()`.
        """
        named = [(self._prefix + key, token) for key, token in claims]
        try:
            if isinstance(self._client, redis.asyncio.Redis):
                pool: Any = self._client.connection_pool
                connection = pool.connection_class(**pool.connection_kwargs)
                return await _renew_over(connection, [named], lease)
            await self._client.initialize()
            return await self._renew_in_cluster(self._client, named, lease)
        except (redis.RedisError, RedisClusterException) as error:
            raise _explained(error) from None  # `error` has the unredacted text

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

    async def _renew_in_cluster(
        self, client: Any, claims: Sequence[tuple[str, str]], lease: float
    ) -> list[bool]:
        """Renew claims at each node that has some of them, though another node may fail."""
        renewed: dict[tuple[str, str], bool] = {}
        failure: redis.RedisError | None = None
        for node, batch in _by_node(client, claims):
            each_alone = [[claim] for claim in batch]  # their keys are in different slots
            try:
                try:
                    connection = node.connection_class(**node.connection_kwargs)
                    results = await _renew_over(connection, each_alone, lease)
                except (redis.ConnectionError, AskError):
                    # The node is down or has given up a slot: let the client look for the new one.
                    results = [
                        bool(each)
                        for command in renewals(each_alone, lease)
                        for each in await client.execute_command(*command)
                    ]
            except redis.RedisError as error:
                failure = error
            else:
                renewed |= zip(batch, results, strict=True)
        if failure is not None:
            raise failure
        return [renewed[claim] for claim in claims]

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


async def _renew_over(
    connection: Any, batches: Sequence[Sequence[tuple[str, str]]], lease: float
) -> list[bool]:
    """`renew_over()` for asyncio."""
    try:
        packed = connection.pack_commands(renewals(batches, lease))
        await connection.send_packed_command(packed)
        return [bool(number) for _ in batches for number in await connection.read_response()]
    finally:
        await connection.disconnect()


def _by_node(
    client: Any, claims: Sequence[tuple[str, str]]
) -> Iterable[tuple[Any, list[tuple[str, str]]]]:
    """Return each node of the cluster that has keys of claims, with its claims."""
    by_name: dict[str, tuple[Any, list[tuple[str, str]]]] = {}
    for claim in claims:
        node = client.get_node_from_key(claim[0])
        by_name.setdefault(node.name, (node, []))[1].append(claim)
    return by_name.values()


def _wrong(client: object, needed: str) -> str:
    given = f"{type(client).__module__}.{type(client).__qualname__}"
    return f"expected a client of redis-py such as {needed}, not a {given}"


def _explained(error: Exception) -> StoreError:
    # An error about an unknown command repeats the arguments, such as the password of AUTH.
    text = str(error).partition(", with args beginning with")[0]
    return StoreError(f"the store in Redis failed: {type(error).__name__}: {text}")
