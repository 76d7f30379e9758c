"""The stores in Redis, with a real Valkey."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from itertools import takewhile
from typing import Any

import pytest
import redis
import redis.asyncio
from anyio.from_thread import BlockingPortal, start_blocking_portal
from redis.backoff import NoBackoff
from redis.retry import Retry

from frappe_hooksig import ConfigurationError, StoreError
from frappe_hooksig.integrations.redis import AsyncRedisStore, RedisStore
from frappe_hooksig.replay import AsyncStore, State, Store
from tests.frappe_bench import valkey
from tests.loopback import SECONDS_TO_START, free_port
from tests.replay.test_stores import DONE, IN_FLIGHT, NEW, StoreCases

# A server's time cannot be set. So it has more of it than the cases speak of, and a machine that is
# slow for a while does not matter; what is to be over is taken away from every key.
STRETCHED = 1000


class Stretched:
    """A store for which each second is many."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def claim(self, key: str, token: str, lease: float) -> State:
        return self._store.claim(key, token, lease * STRETCHED)

    def renew(self, key: str, token: str, lease: float) -> bool:
        return self._store.renew(key, token, lease * STRETCHED)

    def complete(self, key: str, token: str, keep: float) -> bool:
        return self._store.complete(key, token, keep * STRETCHED)

    def release(self, key: str, token: str) -> bool:
        return self._store.release(key, token)


class Awaited:
    """A store of asyncio for callers that are not."""

    def __init__(self, store: AsyncStore, portal: BlockingPortal) -> None:
        self._store = store
        self._call = portal.call

    def claim(self, key: str, token: str, lease: float) -> State:
        return self._call(self._store.claim, key, token, lease)

    def renew(self, key: str, token: str, lease: float) -> bool:
        return self._call(self._store.renew, key, token, lease)

    def complete(self, key: str, token: str, keep: float) -> bool:
        return self._call(self._store.complete, key, token, keep)

    def release(self, key: str, token: str) -> bool:
        return self._call(self._store.release, key, token)


@asynccontextmanager
async def waiting(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """Open a client for asyncio, until the block ends."""
    client = redis.asyncio.Redis.from_url(url)
    yield client
    await client.connection_pool.disconnect()  # closing it is not enough for redis-py 4


@asynccontextmanager
async def waiting_for_cluster(url: str) -> AsyncIterator[redis.asyncio.RedisCluster]:
    """Open a client for asyncio and a cluster, until the block ends."""
    async with redis.asyncio.RedisCluster.from_url(url) as client:
        yield client


def let_pass(client: Any, seconds: float) -> None:
    """Let every key end so much sooner; one whose end would have been before now is gone."""
    for key in client.scan_iter():
        client.pexpire(key, client.pttl(key) - round(seconds * STRETCHED * 1000))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with valkey() as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    """Of a server that is empty."""
    with closing(redis.Redis.from_url(server)) as client:
        client.flushall()
    return server


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    with closing(redis.Redis.from_url(url)) as client:
        yield client


@pytest.fixture(scope="module")
def cluster_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One that has all slots."""
    bus = str(free_port())
    folder = str(tmp_path_factory.mktemp("cluster"))
    options = ("--cluster-enabled", "yes", "--cluster-port", bus, "--dir", folder)
    with valkey(*options) as url:
        node: Any = redis.Redis.from_url(url)
        node.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        deadline = time.monotonic() + SECONDS_TO_START
        while node.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        node.close()
        yield url


class TestRedisStore(StoreCases):
    """With a client that blocks."""

    @pytest.fixture
    def store(self, client: redis.Redis) -> Store:
        self.wait = lambda seconds: let_pass(client, seconds)
        return Stretched(RedisStore(client))


class TestRedisStoreOfTexts(StoreCases):
    """With a client that makes texts of what it gets."""

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        with closing(redis.Redis.from_url(url, decode_responses=True)) as client:
            self.wait = lambda seconds: let_pass(client, seconds)
            yield Stretched(RedisStore(client))


class TestRedisStoreInCluster(StoreCases):
    """With a client for a cluster."""

    @pytest.fixture
    def store(self, cluster_server: str) -> Iterator[Store]:
        with closing(redis.RedisCluster.from_url(cluster_server)) as client:
            client.flushall()
            self.wait = lambda seconds: let_pass(client, seconds)
            yield Stretched(RedisStore(client))


class TestAsyncRedisStore(StoreCases):
    """With a client for asyncio."""

    @pytest.fixture
    def store(self, url: str, client: redis.Redis) -> Iterator[Store]:
        self.wait = lambda seconds: let_pass(client, seconds)
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(waiting(url)) as opened,
        ):
            yield Stretched(Awaited(AsyncRedisStore(opened), portal))


class TestAsyncRedisStoreInCluster(StoreCases):
    """With a client for asyncio and a cluster."""

    @pytest.fixture
    def store(self, cluster_server: str) -> Iterator[Store]:
        with (
            closing(redis.RedisCluster.from_url(cluster_server)) as client,
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(waiting_for_cluster(cluster_server)) as opened,
        ):
            client.flushall()
            self.wait = lambda seconds: let_pass(client, seconds)
            yield Stretched(Awaited(AsyncRedisStore(opened), portal))


def test_shared(client: redis.Redis, url: str) -> None:
    """What one kind of store has written, the other reads."""
    store = RedisStore(client)

    async def after() -> tuple[State, bool, State]:
        async with waiting(url) as opened:
            other = AsyncRedisStore(opened)
            assert isinstance(other, AsyncStore)
            before = await other.claim("a", "2", 60)
            return before, await other.complete("a", "1", 60), await other.claim("a", "2", 60)

    assert store.claim("a", "1", 60) is NEW
    assert asyncio.run(after()) == (IN_FLIGHT, True, DONE)
    assert store.claim("a", "3", 60) is DONE


def test_prefixes(client: redis.Redis) -> None:
    """Two apps that share a server share no delivery."""
    one, other = RedisStore(client, prefix="one:"), RedisStore(client, prefix="other:")

    assert one.claim("a", "1", 60) is NEW
    assert other.claim("a", "1", 60) is NEW
    assert one.complete("a", "1", 60)
    assert other.claim("a", "2", 60) is IN_FLIGHT
    assert sorted(client.keys()) == [b"one:a", b"other:a"]


def test_commands(client: Any) -> None:
    """Each call is one command with one key, and its seconds are milliseconds for the server."""
    store = RedisStore(client)
    for _ in range(2):  # the first time, the server learns the scripts
        with client.monitor() as monitor:
            store.claim("a", "1", 1.5)
            store.claim("a", "2", 1.5)
            store.renew("a", "1", 2)
            store.complete("a", "1", 60)
            store.claim("a", "2", 1.5)
            store.claim("b", "1", 0.0001)
            store.release("b", "1")
            client.echo("the end")
            seen = list(takewhile(lambda each: "ECHO" not in each["command"], monitor.listen()))
        client.flushdb()
    called = [each["command"].split() for each in seen if each["client_type"] != "lua"]
    inside = [each["command"] for each in seen if each["client_type"] == "lua"]

    assert [(words[0], *words[2:]) for words in called] == [
        ("EVALSHA", "1", "hooksig:a", "claimed:1", "1500"),
        ("EVALSHA", "1", "hooksig:a", "claimed:2", "1500"),
        ("EVALSHA", "1", "hooksig:a", "claimed:1", "2000"),
        ("EVALSHA", "1", "hooksig:a", "claimed:1", "60000"),
        ("EVALSHA", "1", "hooksig:a", "claimed:2", "1500"),
        ("EVALSHA", "1", "hooksig:b", "claimed:1", "1"),
        ("EVALSHA", "1", "hooksig:b", "claimed:1"),
    ]
    assert inside[:8] == [
        "SET hooksig:a claimed:1 NX PX 1500",
        "SET hooksig:a claimed:2 NX PX 1500",
        "GET hooksig:a",
        "GET hooksig:a",
        "PEXPIRE hooksig:a 2000",
        "GET hooksig:a",
        "DEL hooksig:a",
        "SET hooksig:a done PX 60000",
    ]


def test_no_end(client: redis.Redis) -> None:
    """What is to be remembered for longer than a server can count is remembered."""
    store = RedisStore(client)
    store.claim("a", "1", 1e300)

    assert store.complete("a", "1", 1e300)
    assert store.claim("a", "2", 60) is DONE


def test_forgotten_scripts(client: redis.Redis) -> None:
    """A server that has lost the scripts, as by a failover, is told them again."""
    store = RedisStore(client)
    store.claim("a", "1", 60)
    client.script_flush()

    assert store.complete("a", "1", 60)
    assert store.claim("a", "2", 60) is DONE


def test_restart() -> None:
    """A server that is down is named, at once; one that comes back empty has forgotten all."""
    with valkey() as url:
        port = int(url.rpartition(":")[2])
        client = redis.Redis.from_url(url)
        store = RedisStore(client)
        store.claim("a", "1", 60)
        store.complete("a", "1", 60)
        store.claim("b", "1", 60)
    for call in (
        lambda: store.claim("c", "1", 60),
        lambda: store.renew("b", "1", 60),
        lambda: store.complete("b", "1", 60),
        lambda: store.release("b", "1"),
    ):
        with pytest.raises(StoreError, match=rf"ConnectionError: .*127\.0\.0\.1:{port}"):
            call()
    with valkey(port=port), closing(client):
        assert store.claim("a", "2", 60) is NEW
        assert store.complete("b", "1", 60) is False


def test_restart_async() -> None:
    """The same for asyncio."""

    async def use(url: str, port: int) -> None:
        async with waiting(url) as opened:
            store = AsyncRedisStore(opened)
            for call in (
                store.claim("c", "1", 60),
                store.renew("b", "1", 60),
                store.complete("b", "1", 60),
                store.release("b", "1"),
            ):
                with pytest.raises(StoreError, match=rf"ConnectionError: .*127\.0\.0\.1:{port}"):
                    await call
            with valkey(port=port):
                assert await store.claim("a", "2", 60) is NEW

    with valkey() as url:
        port = int(url.rpartition(":")[2])
    asyncio.run(use(url, port))


def test_silent_server() -> None:
    """A server that does not answer is waited for as long as the client says."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        once = Retry(NoBackoff(), 0)
        with closing(redis.Redis(port=port, socket_timeout=0.05, retry=once)) as client:
            store = RedisStore(client)
            with pytest.raises(StoreError, match="TimeoutError: Timeout reading"):
                store.claim("a", "1", 60)


def test_full(client: redis.Redis) -> None:
    """A full server takes no new delivery, and yet remembers what was handled."""
    store = RedisStore(client)
    for key in ("renewed", "released", "handled"):
        store.claim(key, "1", 60)
    client.config_set("maxmemory", "1")

    with pytest.raises(StoreError, match="command not allowed when used memory > 'maxmemory'"):
        store.claim("new", "1", 60)
    assert store.renew("renewed", "1", 60)
    assert store.release("released", "1")
    assert store.complete("handled", "1", 60)
    client.config_set("maxmemory", "0")
    assert store.claim("handled", "2", 60) is DONE
    assert store.claim("renewed", "2", 60) is IN_FLIGHT


def test_replica(client: redis.Redis) -> None:
    """A replica, which may not be written, is named as what it is."""
    client.replicaof("127.0.0.1", "1")  # that nobody is there does not matter

    with pytest.raises(StoreError, match="ReadOnlyError: You can't write against a read only"):
        RedisStore(client).claim("a", "1", 60)
    client.replicaof("NO", "ONE")


def test_foreign_key(client: redis.Redis) -> None:
    """A key that is somebody else's is left as it is."""
    client.rpush("hooksig:a", "something")

    with pytest.raises(StoreError, match="WRONGTYPE"):
        RedisStore(client).claim("a", "1", 60)
    assert client.lrange("hooksig:a", 0, -1) == [b"something"]


def test_password() -> None:
    """No password is told, not even that which the server's own message repeats."""
    unknown = ("--rename-command", "AUTH", "", "--rename-command", "HELLO", "")
    with (
        valkey(*unknown) as url,
        closing(redis.Redis.from_url(url.replace("//", "//:hunter2@"))) as client,
    ):
        with pytest.raises(redis.RedisError, match="hunter2"):
            client.ping()
        with pytest.raises(StoreError, match="ResponseError: unknown command") as caught:
            RedisStore(client).claim("a", "1", 60)

    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_cancelled(url: str) -> None:
    """A claim that is cancelled, wherever it was, leaves its answer to no other one."""

    async def use() -> list[State]:
        states: list[State] = []
        async with waiting(url) as opened:
            store = AsyncRedisStore(opened)
            for steps in range(20):
                await store.claim(f"{steps}", "1", 60)
                task = asyncio.create_task(store.claim(f"{steps}", "2", 60))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                states.append(await store.claim(f"other {steps}", "1", 60))
        return states

    assert asyncio.run(use()) == [NEW] * 20


@pytest.mark.parametrize(
    ("store", "client", "needed"),
    [
        pytest.param(RedisStore, redis.asyncio.Redis, "redis.Redis", id="asyncio"),
        pytest.param(AsyncRedisStore, redis.Redis, "redis.asyncio.Redis", id="not asyncio"),
    ],
)
def test_wrong_client(store: Any, client: Any, needed: str) -> None:
    """A client that would be waited for by nobody, or in vain, is refused."""
    with pytest.raises(ConfigurationError, match=rf"such as {needed}, not a redis\..*Redis$"):
        store(client())
