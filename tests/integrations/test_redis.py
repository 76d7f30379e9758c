"""The stores in Redis, with a real Valkey."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager, closing, contextmanager, suppress
from inspect import signature
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from frappe_hooksig import ConfigurationError, StoreError
from frappe_hooksig.integrations.redis import AsyncRedisStore, RedisStore
from frappe_hooksig.replay import AsyncStore, State, Store
from frappe_hooksig.testing import SharedAsyncStoreConformance, SharedStoreConformance
from tests.frappe_bench import valkey
from tests.loopback import SECONDS_TO_START, free_port
from tests.replay.test_stores import DONE, IN_FLIGHT, NEW

# A server's time cannot be set. So it has more of it than the cases speak of, and a machine that is
# slow for a while does not matter; what is to be over is taken away from every key.
STRETCHED = 1000


class Stretched:
    """A store for which each second is many."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def claim(self, key: str, token: str, lease: float) -> State:
        return self._store.claim(key, token, lease * STRETCHED)

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[bool]:
        return self._store.renew(claims, lease * STRETCHED)

    def complete(self, key: str, token: str, retention: float) -> bool:
        return self._store.complete(key, token, retention * STRETCHED)

    def release(self, key: str, token: str) -> bool:
        return self._store.release(key, token)


class AsyncStretched:
    """The same for asyncio."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store

    async def claim(self, key: str, token: str, lease: float) -> State:
        return await self._store.claim(key, token, lease * STRETCHED)

    async def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[bool]:
        return await self._store.renew(claims, lease * STRETCHED)

    async def complete(self, key: str, token: str, retention: float) -> bool:
        return await self._store.complete(key, token, retention * STRETCHED)

    async def release(self, key: str, token: str) -> bool:
        return await self._store.release(key, token)


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


@contextmanager
def cluster(folder: Path, nodes: int) -> Iterator[list[str]]:
    """Run a cluster whose nodes share the slots; what it is there for is their URLs."""
    with ExitStack() as stack:
        urls: list[str] = []
        for number in range(nodes):
            own = folder / str(number)
            own.mkdir()
            bus = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
            urls.append(stack.enter_context(valkey(*bus, "--dir", str(own))))
        clients: list[Any] = [
            stack.enter_context(closing(redis.Redis.from_url(url))) for url in urls
        ]
        for number, client in enumerate(clients):
            for other in urls:
                host, _, port = other.removeprefix("redis://").partition(":")
                info = redis.Redis.from_url(other)
                bus_port = info.config_get("cluster-port")["cluster-port"]
                info.close()
                client.execute_command("CLUSTER MEET", host, port, bus_port)
            first, end = (each * SLOTS // nodes for each in (number, number + 1))
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
        deadline = time.monotonic() + SECONDS_TO_START
        while any(
            state["cluster_state"] != "ok" or state["cluster_known_nodes"] != str(nodes)
            for client in clients
            for state in [client.execute_command("CLUSTER INFO")]
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield urls


@pytest.fixture(scope="module")
def cluster_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    with cluster(tmp_path_factory.mktemp("cluster"), 2) as urls:
        yield urls


@pytest.fixture
def cluster_url(cluster_servers: list[str]) -> str:
    """Of a cluster that is empty."""
    with closing(redis.RedisCluster.from_url(cluster_servers[0])) as client:
        client.flushall()
    return cluster_servers[0]


NOBODY = "redis://127.0.0.1:1"
SLOTS = 16384


class TestRedisStore(SharedStoreConformance):
    """With a client that blocks."""

    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def _server(self, url: str) -> None:
        self.url = url

    @contextmanager
    def open_store(self) -> Iterator[Store]:
        with closing(redis.Redis.from_url(self.url, **self.options)) as client:
            yield Stretched(RedisStore(client))

    @contextmanager
    def open_unreachable_store(self) -> Iterator[Store]:
        with closing(redis.Redis.from_url(NOBODY, retry=Retry(NoBackoff(), 0))) as client:
            yield RedisStore(client)

    def let_pass(self, seconds: float) -> None:
        with closing(redis.Redis.from_url(self.url)) as client:
            let_pass(client, seconds)


class TestRedisStoreOfTexts(TestRedisStore):
    """With a client that makes texts of what it gets."""

    options: ClassVar[dict[str, Any]] = {"decode_responses": True}


class TestRedisStoreInCluster(SharedStoreConformance):
    """With a client for a cluster."""

    @pytest.fixture(autouse=True)
    def _servers(self, cluster_url: str) -> None:
        self.url = cluster_url

    @contextmanager
    def open_store(self) -> Iterator[Store]:
        with closing(redis.RedisCluster.from_url(self.url)) as client:
            yield Stretched(RedisStore(client))

    def let_pass(self, seconds: float) -> None:
        with closing(redis.RedisCluster.from_url(self.url)) as client:
            let_pass(client, seconds)


class TestAsyncRedisStore(SharedAsyncStoreConformance):
    """With a client for asyncio."""

    @pytest.fixture(autouse=True)
    def _server(self, url: str) -> None:
        self.url = url

    @asynccontextmanager
    async def open_store(self) -> AsyncIterator[AsyncStore]:
        async with waiting(self.url) as client, aclosing(AsyncRedisStore(client)) as store:
            yield AsyncStretched(store)

    @asynccontextmanager
    async def open_unreachable_store(self) -> AsyncIterator[AsyncStore]:
        async with waiting(NOBODY) as client, aclosing(AsyncRedisStore(client)) as store:
            yield store

    def let_pass(self, seconds: float) -> None:
        with closing(redis.Redis.from_url(self.url)) as client:
            let_pass(client, seconds)


class TestAsyncRedisStoreInCluster(SharedAsyncStoreConformance):
    """With a client for asyncio and a cluster."""

    @pytest.fixture(autouse=True)
    def _servers(self, cluster_url: str) -> None:
        self.url = cluster_url

    @asynccontextmanager
    async def open_store(self) -> AsyncIterator[AsyncStore]:
        async with (
            waiting_for_cluster(self.url) as client,
            aclosing(AsyncRedisStore(client)) as store,
        ):
            yield AsyncStretched(store)

    def let_pass(self, seconds: float) -> None:
        with closing(redis.RedisCluster.from_url(self.url)) as client:
            let_pass(client, seconds)


class TestRenewal:
    """Renewals, which nothing else may delay."""

    CLAIMS: ClassVar[list[tuple[str, str]]] = [(str(number), "1") for number in range(50)]

    def test_used_up_pool(self, url: str) -> None:
        """They wait for no connection of a pool whose connections are all in use."""
        pool: Any = redis.BlockingConnectionPool.from_url(url, max_connections=1, timeout=0.01)
        with closing(redis.Redis(connection_pool=pool)) as client:
            store = RedisStore(client)
            store.claim("a", "1", 60)
            taken = take(pool)
            with pytest.raises(StoreError, match="No connection available"):
                store.claim("b", "1", 60)
            assert store.renew([("a", "1")], 60) == [True]
            pool.release(taken)
            pool.disconnect()

    def test_used_up_pool_async(self, url: str) -> None:
        """The same for asyncio."""

        async def use() -> Sequence[bool]:
            pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=1, timeout=1)
            store = AsyncRedisStore(redis.asyncio.Redis(connection_pool=pool))
            await store.claim("a", "1", 60)
            taken = await take(pool)
            renewed = await store.renew([("a", "1")], 60)
            await pool.release(taken)
            await store.aclose()
            await pool.disconnect()
            return renewed

        assert asyncio.run(use()) == [True]

    def test_connections(self, client: Any) -> None:
        """Renewals are one command each, on one connection that close() closes."""
        store = RedisStore(client)
        for key, token in self.CLAIMS:
            store.claim(key, token, 60)
        before = client.info("clients")["connected_clients"]
        commands = client.info("commandstats")
        for _ in range(3):
            assert store.renew(self.CLAIMS, 60) == [True] * 50
        after = client.info("commandstats")

        assert (
            after["cmdstat_eval"]["calls"] - commands.get("cmdstat_eval", {"calls": 0})["calls"]
            == 3
        )
        assert client.info("clients")["connected_clients"] == before + 1
        store.close()
        deadline = time.monotonic() + 5
        while client.info("clients")["connected_clients"] > before:
            assert time.monotonic() < deadline

    @pytest.mark.parametrize("is_async", [False, True])
    def test_moved_slots(
        self, cluster_servers: list[str], cluster_url: str, *, is_async: bool
    ) -> None:
        """Claims are renewed where their slots are now, though the client does not know it yet."""
        with closing(redis.RedisCluster.from_url(cluster_url)) as client:
            store = RedisStore(client)
            for key, token in self.CLAIMS:
                store.claim(key, token, 60)

            async def renew() -> Sequence[bool]:
                async with waiting_for_cluster(cluster_url) as opened:
                    await opened.initialize()
                    with moved(cluster_servers, [f"hooksig:{key}" for key, _ in self.CLAIMS]):
                        async with aclosing(AsyncRedisStore(opened)) as other:
                            return await other.renew(self.CLAIMS, 60)

            if is_async:
                renewed = asyncio.run(renew())
            else:
                with moved(cluster_servers, [f"hooksig:{key}" for key, _ in self.CLAIMS]):
                    renewed = store.renew(self.CLAIMS, 60)

        assert renewed == [True] * 50

    @pytest.mark.parametrize("is_async", [False, True])
    def test_node_that_fails(self, cluster_url: str, *, is_async: bool) -> None:
        """The claims at other nodes are renewed, and the failure is told."""
        with closing(redis.RedisCluster.from_url(cluster_url)) as client:
            nodes: Any = client
            store = RedisStore(client)
            for key, token in self.CLAIMS:
                store.claim(key, token, 60)
            failing = nodes.get_node_from_key("hooksig:0")
            client.delete("hooksig:0")
            client.rpush("hooksig:0", "something else")

            async def renew() -> None:
                async with (
                    waiting_for_cluster(cluster_url) as opened,
                    aclosing(AsyncRedisStore(opened)) as other,
                ):
                    await other.renew(self.CLAIMS, 600)

            with pytest.raises(StoreError, match="WRONGTYPE"):
                asyncio.run(renew()) if is_async else store.renew(self.CLAIMS, 600)
            names = [f"hooksig:{key}" for key, _ in self.CLAIMS]
            others = [name for name in names if nodes.get_node_from_key(name) != failing]
            left = [client.pttl(name) for name in others]

        assert len(left) > 5
        assert min(left) > 500_000


def take(pool: Any) -> Any:
    """Take a connection from a pool. Before redis-py 5.3, a command had to be named."""
    named = "command_name" in signature(pool.get_connection).parameters
    return (
        pool.get_connection("_")
        if named and int(redis.__version__[0]) < 5
        else pool.get_connection()
    )


@contextmanager
def moved(urls: list[str], keys: list[str]) -> Iterator[None]:
    """Exchange the slots of some keys between two nodes, until the block ends."""
    slots = sorted({key_slot(key.encode()) for key in keys})
    with ExitStack() as stack:
        nodes: list[Any] = [stack.enter_context(closing(redis.Redis.from_url(url))) for url in urls]
        names = [node.execute_command("CLUSTER MYID").decode() for node in nodes]

        def exchange(turn: int) -> None:
            for slot in slots:
                owner = slot * len(urls) // SLOTS
                source, target = (owner, 1 - owner) if turn == 0 else (1 - owner, owner)
                nodes[target].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[source])
                nodes[source].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[target])
                found = nodes[source].execute_command("CLUSTER GETKEYSINSLOT", slot, 100)
                host, _, port = urls[target].removeprefix("redis://").partition(":")
                for key in found:
                    nodes[source].execute_command("MIGRATE", host, port, key, 0, 1000)
                for number in (target, source):
                    nodes[number].execute_command("CLUSTER SETSLOT", slot, "NODE", names[target])

        exchange(0)
        try:
            yield
        finally:
            exchange(1)


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
    """Each call is one command, and its seconds are milliseconds for the server."""
    store = RedisStore(client)
    for _ in range(2):  # the first time, the server learns the scripts
        with client.monitor() as monitor:
            store.claim("a", "1", 1.5)
            store.claim("a", "2", 1.5)
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
        ("EVALSHA", "1", "hooksig:a", "claimed:1", "60000"),
        ("EVALSHA", "1", "hooksig:a", "claimed:2", "1500"),
        ("EVALSHA", "1", "hooksig:b", "claimed:1", "1"),
        ("EVALSHA", "1", "hooksig:b", "claimed:1"),
    ]
    assert inside[:6] == [
        "SET hooksig:a claimed:1 NX PX 1500",
        "SET hooksig:a claimed:2 NX PX 1500",
        "GET hooksig:a",
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
        lambda: store.renew([("b", "1")], 60),
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
                store.renew([("b", "1")], 60),
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
    assert store.renew([("renewed", "1")], 60) == [True]
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
