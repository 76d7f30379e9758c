"""Stores in Redis or Valkey, shared by all processes on all hosts that can reach the server."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha1
from typing import Any

from frappe_hooksig.integrations._extras import not_installed

try:
    import redis
    import redis.asyncio
    from redis.exceptions import AskError, NoScriptError, RedisClusterException
except ModuleNotFoundError as error:
    raise not_installed(error, "redis") from None

from frappe_hooksig._secret_checks import masked_unless
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
from frappe_hooksig.replay._steps import Steps, run, run_async

__all__ = ["AsyncRedisStore", "RedisStore"]

# The server caches each script under its SHA-1. `register_script()` of redis-py uses the same
# digests, but makes a claim 10 % slower.
_SHA = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (CLAIM, COMPLETE, RELEASE)
}


class _Renewals:
    """Renews leases over connections of its own, one for each server and process.

    So it does not wait for a pool that the handlers have used up.

    Args:
        client: A client of redis-py, sync or async.
        prefix: The beginning of every key.
    """

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        # The idle connections, by the process and the server. A forked process must not use those
        # of its parent.
        self._idle: dict[tuple[int, str], Any] = {}

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Steps[list[bool]]:
        named = [(self._prefix + key, token) for key, token in claims]
        if isinstance(self._client, redis.RedisCluster):
            return self._renew_in_cluster(named, lease)
        if isinstance(self._client, redis.asyncio.RedisCluster):
            return self._renew_in_cluster(named, lease, self._client.initialize)
        return self._renew_at("", self._client.connection_pool, [named], lease)

    def close(self) -> Steps[None]:
        while self._idle:
            _, connection = self._idle.popitem()
            yield connection.disconnect

    def _renew_at(
        self, server: str, pool: Any, batches: Sequence[Sequence[tuple[str, str]]], lease: float
    ) -> Steps[list[bool]]:
        place = (os.getpid(), server)
        connection = self._idle.pop(place, None)
        if connection is None:
            connection = pool.connection_class(**pool.connection_kwargs)
        renewed = yield from renew_over(connection, batches, lease)
        self._idle[place] = connection
        return renewed

    def _renew_in_cluster(
        self,
        claims: Sequence[tuple[str, str]],
        lease: float,
        initialize: Callable[[], Any] | None = None,
    ) -> Steps[list[bool]]:
        """Renew claims at each node that has some of them, though another node may fail."""
        client = self._client
        if initialize is not None:
            yield initialize
        # By name, because nodes have no hash in redis-py 4.
        by_node: dict[str, tuple[Any, list[tuple[str, str]]]] = {}
        for claim in claims:
            node = client.get_node_from_key(claim[0])
            by_node.setdefault(node.name, (node, []))[1].append(claim)
        renewed: dict[tuple[str, str], bool] = {}
        failure: redis.RedisError | None = None
        for node, batch in by_node.values():
            alone = [[claim] for claim in batch]  # their keys are in different slots
            # A node of the async client is a pool itself.
            pool = client.get_redis_connection(node).connection_pool if initialize is None else node
            try:
                try:
                    results = yield from self._renew_at(node.name, pool, alone, lease)
                except (redis.ConnectionError, AskError):
                    # The node is down or has given up a slot: let the client look for the new one.
                    results = []
                    for command in renewals(alone, lease):
                        results += yield partial(client.execute_command, *command)
            except redis.RedisError as error:
                failure = error
            else:
                renewed |= zip(batch, map(bool, results), strict=True)
        if failure is not None:
            raise failure
        return [renewed[claim] for claim in claims]


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
        client = masked_unless((redis.Redis, redis.RedisCluster), client)  # a URL has a password
        if not isinstance(client, redis.Redis | redis.RedisCluster):
            raise ConfigurationError(_wrong(client, "redis.Redis"))
        self._client = client
        self._prefix = prefix
        self._renewals = _Renewals(client, prefix)

    def claim(self, key: str, token: str, lease: float) -> State:
        """See `Store.claim()`.

        Raises:
            StoreError: The server cannot be reached, or refuses the command: its memory is full, it
                is a replica, or it requires a password.
        """
        return STATES[self._run(CLAIM, key, claimed(token), milliseconds(lease))]

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
        """See `Store.renew()`. It uses a connection of its own, beside the client's pool.

        Raises:
            StoreError: As for `claim()`.
        """
        try:
            return run(self._renewals.renew(claims, lease))
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

    def close(self) -> None:
        """Close the connections that renew leases. The client and its pool stay open."""
        run(self._renewals.close())

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
        client = masked_unless((redis.asyncio.Redis, redis.asyncio.RedisCluster), client)
        if not isinstance(client, redis.asyncio.Redis | redis.asyncio.RedisCluster):
            raise ConfigurationError(_wrong(client, "redis.asyncio.Redis"))
        self._client = client
        self._prefix = prefix
        self._renewals = _Renewals(client, prefix)

    async def claim(self, key: str, token: str, lease: float) -> State:
        """See `Store.claim()`.

        Raises:
            StoreError: As for `RedisStore.claim()`.
        """
        return STATES[await self._run(CLAIM, key, claimed(token), milliseconds(lease))]

    async def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
        """See `RedisStore.renew()`.

        Raises:
            StoreError: As for `claim()`.
        """
        try:
            return await run_async(self._renewals.renew(claims, lease))
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

    async def aclose(self) -> None:
        """Close the connections that renew leases. The client and its pool stay open."""
        await run_async(self._renewals.close())

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
