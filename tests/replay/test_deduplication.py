"""Which key a delivery has in a store, for how long, and what becomes of a claim."""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from frappe_hooksig import (
    ConfigurationError,
    Delivery,
    Scheme,
    Secret,
    StoreError,
    Verifier,
    providers,
    sign_payload,
)
from frappe_hooksig.replay import Deduplicator, MemoryStore, State, _renewal
from frappe_hooksig.replay import _deduplication as module
from frappe_hooksig.replay._claims import AsyncClaim, Claim
from frappe_hooksig.replay._deduplication import Deduplication
from tests.receivers import make_receiver

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    monkeypatch.setattr(module, "_LOOKS_EVERY", 0.01)


@pytest.fixture(autouse=True)
def own_renewer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A lease renewer that no other test has left claims with."""
    own = _renewal.LeaseRenewer()
    monkeypatch.setattr(_renewal, "_renewer", own)
    return own


def delivery_of(
    body: bytes = b"{}", secret: Any = SECRET, scheme: Scheme = providers.FRAPPE, **options: Any
) -> Delivery:
    """Return a verified delivery."""
    signed = sign_payload(body, secret, scheme=scheme, **options)
    clock: Callable[[], float] = lambda: options.get("timestamp", time.time())  # noqa: E731
    return Verifier(secret, scheme=scheme, clock=clock).verify(body, signed.headers)


class Recording(MemoryStore):
    """Keeps the keys that it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []
        self.leases: list[float] = []
        self.retentions: list[float] = []

    def claim(self, key: str, token: str, lease: float) -> State:
        self.keys.append(key)
        self.leases.append(lease)
        return super().claim(key, token, lease)

    def complete(self, key: str, token: str, retention: float) -> bool:
        self.retentions.append(retention)
        return super().complete(key, token, retention)


class Awaited:
    """The same, to be awaited."""

    def __init__(self) -> None:
        self.store = Recording()

    async def claim(self, key: str, token: str, lease: float) -> State:
        return self.store.claim(key, token, lease)

    async def renew(self, key: str, token: str, lease: float) -> bool:
        return self.store.renew(key, token, lease)

    async def complete(self, key: str, token: str, retention: float) -> bool:
        return self.store.complete(key, token, retention)

    async def release(self, key: str, token: str) -> bool:
        return self.store.release(key, token)


class Failing:
    """A store that does so from a certain call on."""

    def __init__(self, *methods: str) -> None:
        self._methods = methods
        self._store = MemoryStore()

    def __getattr__(self, name: str) -> Any:
        if name in self._methods:
            return self._fail
        return getattr(self._store, name)

    def _fail(self, *_args: object) -> None:
        msg = "the store is away"
        raise StoreError(msg)


class Odd:
    """A store that renews nothing, and says so in its own way."""

    def __init__(self, store: MemoryStore) -> None:
        self.claim, self.release = store.claim, store.release
        self.complete = store.complete

    def renew(self, *_args: object) -> bool:
        msg = "a reset"
        raise ConnectionResetError(msg)


def on_route(store: Any, scheme: Scheme = providers.FRAPPE, **options: Any) -> Deduplication:
    """Return what a route has that takes one scheme."""
    return Deduplication(Deduplicator(store, **options), [(scheme, None)])


def claim_of(claimed: Claim | State) -> Claim:
    """Return what has to be a claim."""
    assert isinstance(claimed, Claim)
    return claimed


class TestKey:
    """What tells deliveries apart."""

    def keys_of(self, *deliveries: Delivery, **options: Any) -> list[str]:
        stores = [Recording() for _ in deliveries]
        for store, delivery in zip(stores, deliveries, strict=True):
            on_route(store, delivery.scheme, **options).claim("request", "endpoint", delivery)
        return [store.keys[0] for store in stores]

    def test_content(self) -> None:
        """The same body is the same delivery, whichever secret has signed it."""
        keys = self.keys_of(
            delivery_of(), delivery_of(secret=OLD), delivery_of(secret=[OLD, SECRET])
        )

        assert len(set(keys)) == 1
        assert len(keys[0]) == 64
        assert self.keys_of(delivery_of(b"[]")) != keys[:1]

    def test_signed_id(self) -> None:
        """With an id that is signed, that is what counts."""
        scheme = providers.STANDARD_WEBHOOKS
        one, again, two = (
            delivery_of(body, WHSEC, scheme, id=given)
            for body, given in ((b"a", "msg_1"), (b"b", "msg_1"), (b"a", "msg_2"))
        )

        first, second, third = self.keys_of(one, again, two)
        assert first == second != third

    @pytest.mark.parametrize(
        ("scheme", "body"),
        [(providers.STRIPE, b'{"id": "evt_1"}'), (providers.SLACK, b'{"event_id": "Ev1"}')],
    )
    def test_id_in_the_body(self, scheme: Scheme, body: bytes) -> None:
        """Where each attempt is signed anew, an id in the body is the same for all of them."""
        attempts = [delivery_of(body, SECRET, scheme, timestamp=time.time() + n) for n in range(3)]
        other = delivery_of(body.replace(b"1", b"2"), SECRET, scheme)

        assert len(set(self.keys_of(*attempts))) == 1
        assert self.keys_of(other) != self.keys_of(attempts[0])

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b'{"id": null}', b'{"id": ["a"]}'])
    def test_no_id_in_the_body(self, body: bytes) -> None:
        """Where it is not, all that was signed counts, the time too."""
        now = time.time()
        attempts = [
            delivery_of(body, SECRET, providers.STRIPE, timestamp=now + n) for n in (0, 0, 1)
        ]

        first, second, third = self.keys_of(*attempts)
        assert first == second != third

    def test_pointer(self) -> None:
        """It may lead into objects, and a number is no text."""
        scheme = Scheme(
            name="deep", signature_header="X-S", encoding="hex", body_id="/data/a~1b/~0c"
        )
        bodies = [b'{"data": {"a/b": {"~c": 1}}}', b'{"data": {"a/b": {"~c": "1"}}, "n": 0}']
        same = b'{"n": 5, "data": {"a/b": {"~c": 1}}}'

        number, text, again = self.keys_of(
            *(delivery_of(body, SECRET, scheme) for body in (*bodies, same))
        )
        assert number == again != text

    def test_endpoints_tenants_and_schemes(self) -> None:
        """Two of them never share a key."""
        store = Recording()
        for scheme, endpoint, tenant in (
            (providers.FRAPPE, "a", "b"),
            (providers.FRAPPE, "ab", ""),
            (providers.FRAPPE, "", "ab"),
            (providers.FRAPPE, "a", "c"),
            (providers.WEBHOOK_HEX, "a", "b"),
        ):
            asked = on_route(store, scheme, tenant=lambda request, tenant=tenant: tenant + request)
            asked.claim("!", endpoint, delivery_of(scheme=scheme))

        assert len(set(store.keys)) == 5


class TestTimes:
    """How long a claim and a memory last."""

    @pytest.mark.parametrize(
        ("scheme", "tolerance", "lease", "retention"),
        [
            (providers.FRAPPE, None, 4, 60),
            (providers.GITHUB, None, 30, 60),
            (providers.WEBHOOK_TIMESTAMPED, 300, 30, 600),
            (providers.STRIPE, 300, 30, 3 * 24 * 3600),
            (providers.FRAPPE, 86_400, 4, 172_800),
        ],
    )
    def test_defaults(
        self, scheme: Scheme, tolerance: float | None, lease: float, retention: float
    ) -> None:
        """They fit the sender's schedule, and the time for which a request is taken."""
        store = Recording()

        asked = Deduplication(Deduplicator(store), [(scheme, tolerance)])
        claim_of(asked.claim(None, "", delivery_of(scheme=scheme))).settle(200)

        assert (store.leases, store.retentions) == ([lease], [retention])

    def test_given(self) -> None:
        """What is given holds."""
        store = Recording()

        claim_of(on_route(store, lease=2, retention=5).claim(None, "", delivery_of())).settle(204)

        assert (store.leases, store.retentions) == ([2], [5])

    @pytest.mark.parametrize("lease", [5, 60])
    def test_lease_that_is_too_long(self, lease: float) -> None:
        """A lease longer than the sender's patience would lose what a dead process had claimed."""
        with pytest.raises(
            ConfigurationError, match=r"lease=.* is too long: .* below the 5 seconds"
        ):
            on_route(MemoryStore(), lease=lease)
        assert on_route(MemoryStore(), providers.GITHUB, lease=lease)

    @pytest.mark.parametrize("name", ["lease", "retention"])
    @pytest.mark.parametrize("seconds", [0, -5, float("nan"), float("inf"), "5", True, 10**400])
    def test_no_time(self, name: str, seconds: Any) -> None:
        """Nothing lasts for no time, or for ever."""
        with pytest.raises(
            ConfigurationError, match=f"{name}= must be a positive number of seconds"
        ):
            Deduplicator(MemoryStore(), **{name: seconds})

    def test_retention_that_is_shorter_than_a_replay(self) -> None:
        """A delivery that can come again is not forgotten before."""
        deduplicator = Deduplicator(MemoryStore(), retention=599)
        with pytest.raises(
            ConfigurationError, match=r"retention=599 is too short.*: .* for 600 seconds"
        ):
            Deduplication(deduplicator, [(providers.WEBHOOK_TIMESTAMPED, 300)])

    def test_wrong_choice(self) -> None:
        """What becomes of a delivery without a store has two answers."""
        with pytest.raises(ConfigurationError, match="on_store_error"):
            on_route(MemoryStore(), on_store_error="ignore")

    @pytest.mark.parametrize("tenant", [None, 5, b"acme", Secret(SECRET)], ids=type)
    def test_tenant_that_is_no_str(self, tenant: Any) -> None:
        """Two senders could become one, and one of them lose its deliveries."""
        asked = on_route(MemoryStore(), tenant=lambda _request: tenant)
        with pytest.raises(ConfigurationError, match=r"tenant= returned \w+, not a str"):
            asked.claim(None, "", delivery_of())

    @pytest.mark.parametrize("name", ["tenant", "store"])
    def test_async_function(self, name: str) -> None:
        """Nobody would await it."""

        async def later(_request: object) -> str:
            return ""

        options: dict[str, Any] = {"store": MemoryStore(), name: later}
        with pytest.raises(ConfigurationError, match=f"{name}= must be a plain function"):
            Deduplicator(**options)

    def test_tenant_that_is_no_function(self) -> None:
        """One name for all requests would tell nobody apart."""
        with pytest.raises(ConfigurationError, match="tenant= must be a function"):
            on_route(MemoryStore(), tenant="acme")


class TestClaim:
    """From a verified delivery to a claim, or an answer."""

    def test_states(self) -> None:
        """The first has it; the others wait for it, and learn what came of it."""
        asked = on_route(MemoryStore())
        claim = claim_of(asked.claim(None, "", delivery_of()))

        assert asked.claim(None, "", delivery_of()) is State.IN_FLIGHT
        assert claim.complete()
        assert asked.claim(None, "", delivery_of()) is State.DONE

    @pytest.mark.parametrize("status", [100, 199, 300, 302, 404, 500])
    def test_failure(self, status: int) -> None:
        """What did not end well is the next one's at once."""
        asked = on_route(MemoryStore())

        assert claim_of(asked.claim(None, "", delivery_of())).settle(status)
        assert claim_of(asked.claim(None, "", delivery_of())).settle(200)

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_exception(self, error: type[BaseException]) -> None:
        """Nor did what did not end at all."""
        asked = on_route(MemoryStore())

        with pytest.raises(error), claim_of(asked.claim(None, "", delivery_of())):
            raise error
        assert claim_of(asked.claim(None, "", delivery_of())).release()

    def test_late(self, caplog: pytest.LogCaptureFixture) -> None:
        """Who settles after the lease has ended is told so in the log."""
        asked = on_route(MemoryStore(), lease=0.02)
        claim = claim_of(asked.claim(None, "", delivery_of()))
        claim.rest()
        time.sleep(0.03)

        assert not claim.settle(200)
        assert "a delivery was not completed: its lease had already ended" in caplog.text
        assert claim_of(asked.claim(None, "", delivery_of())).release()

    @pytest.mark.parametrize("method", ["complete", "release"])
    def test_store_that_goes_away(self, caplog: pytest.LogCaptureFixture, method: str) -> None:
        """The handler has run by then: its answer is not taken back."""
        claim = claim_of(on_route(Failing(method)).claim(None, "", delivery_of()))

        assert not getattr(claim, method)()
        assert f"a delivery was not {method}d: the store is away" in caplog.text

    @pytest.mark.parametrize("said", [True, None, "new"])
    def test_no_state(self, said: object) -> None:
        """A store that says anything else loses no delivery by it."""
        wrong = type("Wrong", (MemoryStore,), {"claim": lambda *_args: said})

        with pytest.raises(TypeError, match=rf"must return a State, not {said!r}"):
            on_route(wrong()).claim(None, "", delivery_of())
        with pytest.raises(TypeError, match=rf"must return a State, not {said!r}"):
            asyncio.run(claim_async(on_route(wrong())))

    def test_no_store(self) -> None:
        """The caller learns that the store cannot tell whether it is a repeat."""
        with pytest.raises(StoreError, match="the store is away"):
            on_route(Failing("claim")).claim(None, "", delivery_of())


class TestStoreOfARequest:
    """A Deduplicator whose store depends on the request."""

    def test_function(self) -> None:
        """Each request's store remembers its own."""
        stores = {"a": Recording(), "b": Recording()}
        asked = on_route(lambda request: stores[request])
        for request in ("a", "b"):
            claim_of(asked.claim(request, "", delivery_of())).settle(200)

        assert asked.claim("a", "", delivery_of()) is State.DONE
        assert [len(store.keys) for store in stores.values()] == [2, 1]

    def test_function_of_an_async_store(self) -> None:
        """It is refused where nobody can wait for it."""
        with pytest.raises(ConfigurationError, match="store= is an async store"):
            on_route(lambda _request: Awaited()).claim(None, "", delivery_of())

    def test_function_that_returns_no_store(self) -> None:
        """The mistake is named when the request comes."""
        with pytest.raises(ConfigurationError, match="store= is NoneType, not a store"):
            on_route(lambda _request: None).claim(None, "", delivery_of())


@pytest.mark.parametrize(
    ("store", "message"),
    [
        (MemoryStore, r"store= is the class MemoryStore: pass a store, MemoryStore\(\.\.\.\)"),
        ("deliveries.sqlite", r"store= is str, not a store: such as SQLiteStore\("),
        (lambda _request: MemoryStore(), r"not a store: pass a function inside Deduplicator\("),
    ],
    ids=["class", "path", "function"],
)
def test_no_store(store: Any, message: str) -> None:
    """What is not a store is refused at the start, in our own words."""
    with pytest.raises(ConfigurationError, match=message):
        make_receiver(providers.FRAPPE, None, secret=SECRET, store=store)


class TestLeaseRenewer:
    """Claims of handlers that take longer than a lease."""

    def test_renews(self) -> None:
        """A claim does not end while its handler runs, and does when nobody keeps it."""
        asked = on_route(MemoryStore(), lease=0.9)
        with claim_of(asked.claim(None, "", delivery_of())) as claim:
            for _ in range(15):
                assert asked.claim(None, "", delivery_of()) is State.IN_FLIGHT
            claim.rest()
            time.sleep(1.05)
            assert claim_of(asked.claim(None, "", delivery_of())).release()

    def test_shorter_one_comes(self) -> None:
        """Who waits for a long lease wakes up for a short one."""
        store = MemoryStore()
        long = claim_of(
            on_route(store, providers.GITHUB, lease=60).claim(None, "long", delivery_of())
        )
        asked = on_route(store, lease=0.9)
        claim = claim_of(asked.claim(None, "", delivery_of()))
        time.sleep(1.5)

        assert claim.complete()
        assert long.complete()

    def test_store_that_goes_away(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is tried again as long as the handler runs."""
        caplog.set_level(logging.WARNING)
        claim = claim_of(on_route(Failing("renew"), lease=0.9).claim(None, "", delivery_of()))
        time.sleep(1.2)
        claim.rest()

        assert caplog.text.count("the lease of a delivery was not renewed: the store is away") > 1

    def test_store_with_errors_of_its_own(self, caplog: pytest.LogCaptureFixture) -> None:
        """They do not end the claims of others."""
        wrong = MemoryStore()
        odd = claim_of(on_route(Odd(wrong), lease=0.9).claim(None, "odd", delivery_of()))
        time.sleep(0.5)
        claim = claim_of(on_route(MemoryStore(), lease=0.9).claim(None, "", delivery_of()))
        time.sleep(1.2)

        assert claim.complete()
        odd.rest()
        assert "the lease of a delivery was not renewed: a reset" in caplog.text
        assert "Traceback" in caplog.text

    def test_no_thread(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If the machine has no thread left, the next claim gets one."""
        asked = on_route(MemoryStore(), lease=0.9)

        def start(_thread: object) -> None:
            msg = "can't start new thread"
            raise RuntimeError(msg)

        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", start)
            first = claim_of(asked.claim(None, "first", delivery_of()))
        assert "the lease of a delivery will not be renewed: can't start new thread" in caplog.text
        second = claim_of(asked.claim(None, "second", delivery_of()))
        time.sleep(1.2)

        assert first.complete()
        assert second.complete()

    def test_claim_that_is_lost(self, own_renewer: Any) -> None:
        """What is not claim any more is not renewed."""
        claim = claim_of(on_route(Recording(), lease=0.9).claim(None, "", delivery_of()))
        own_renewer.remove(claim)  # as if this process had slept
        time.sleep(1.05)
        own_renewer.add(claim)
        time.sleep(0.6)

        assert not own_renewer._claims  # noqa: SLF001

    def test_thread_ends(self, monkeypatch: pytest.MonkeyPatch, own_renewer: Any) -> None:
        """Where nothing is to be kept, nobody stays for it; and then somebody comes again."""
        monkeypatch.setattr(_renewal, "_IDLE", 0.01)
        for _ in range(2):
            with claim_of(
                on_route(MemoryStore(), lease=0.9).claim(None, "", delivery_of())
            ) as claim:
                assert own_renewer._thread is not None  # noqa: SLF001
                claim.complete()
            deadline = time.monotonic() + 5
            while own_renewer._thread is not None:  # noqa: SLF001
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def test_no_forks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Windows has none."""
        monkeypatch.delattr(os, "register_at_fork")
        own = _renewal.LeaseRenewer()
        monkeypatch.setattr(_renewal, "_renewer", own)

        assert claim_of(on_route(MemoryStore()).claim(None, "", delivery_of())).complete()

    def test_forked_process(self) -> None:
        """A process that was forked while others kept claims keeps its own."""
        claim = claim_of(on_route(MemoryStore(), lease=0.9).claim(None, "", delivery_of()))
        process = multiprocessing.get_context("fork").Process(target=renew_in_a_fork)
        process.start()
        process.join(10)
        claim.complete()

        assert process.exitcode == 0


def renew_in_a_fork() -> None:
    """Hold a claim for longer than its lease."""
    asked = on_route(MemoryStore(), lease=0.9)
    claim = claim_of(asked.claim(None, "", delivery_of()))
    time.sleep(1.8)
    assert claim.complete()


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await asyncio.to_thread(function, *args)


async def claim_async(asked: Deduplication) -> Any:
    return await asked.claim_async(None, "", delivery_of(), in_thread)


@pytest.mark.parametrize("make", [MemoryStore, Awaited])
class TestAsync:
    """The same for asyncio, with stores of both kinds."""

    def test_states(self, make: Any) -> None:
        """The first has it; the others wait for it, and learn what came of it."""

        async def run() -> list[Any]:
            asked = on_route(make())
            claim: AsyncClaim = await claim_async(asked)
            second = await claim_async(asked)
            assert await claim.settle(503)
            again: AsyncClaim = await claim_async(asked)
            assert await again.settle(200)
            return [second, await claim_async(asked)]

        assert asyncio.run(run()) == [State.IN_FLIGHT, State.DONE]

    def test_renews(self, make: Any) -> None:
        """A claim does not end while its handler runs, and does when nobody keeps it."""

        async def run() -> None:
            asked = on_route(make(), lease=0.9)
            long = await claim_async(on_route(make(), providers.GITHUB, lease=60))
            async with await claim_async(asked) as claim:
                for _ in range(15):
                    assert await claim_async(asked) is State.IN_FLIGHT
                claim.rest()
                await asyncio.sleep(1.05)
                assert not await claim.complete()
                assert await (await claim_async(asked)).release()
            assert await long.release()

        asyncio.run(run())

    def test_cancelled(self, make: Any) -> None:
        """What was cancelled is the next one's."""

        async def handle(asked: Deduplication, begun: asyncio.Event) -> None:
            async with await claim_async(asked):
                begun.set()
                await asyncio.sleep(60)

        async def run() -> None:
            asked, begun = on_route(make()), asyncio.Event()
            handler = asyncio.create_task(handle(asked, begun))
            await begun.wait()
            handler.cancel()
            with pytest.raises(asyncio.CancelledError):
                await handler
            assert await (await claim_async(asked)).release()

        asyncio.run(run())

    def test_cancelled_when_handled(self, make: Any) -> None:
        """What was handled stays so, although its sender has hung up before the store knew."""

        async def handle(asked: Deduplication, begun: asyncio.Event) -> None:
            async with await claim_async(asked) as claim:
                begun.set()
                await claim.settle(200)

        async def run() -> Any:
            store = make()
            asked, begun = on_route(Slow(store) if make is Awaited else store), asyncio.Event()
            handler = asyncio.create_task(handle(asked, begun))
            await begun.wait()
            handler.cancel()
            with pytest.raises(asyncio.CancelledError):
                await handler
            return await claim_async(asked)

        assert asyncio.run(run()) is State.DONE


def test_event_loops_are_forgotten() -> None:
    """A loop for each request, as Django has under WSGI, leaves nothing behind."""
    loops: list[Any] = []

    async def run() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        async with await claim_async(on_route(Awaited())) as claim:
            await asyncio.sleep(0)
            await claim.settle(200)

    for _ in range(3):
        asyncio.run(run())
    gc.collect()

    assert [loop() for loop in loops] == [None] * 3


class Slow(Awaited):
    """One that has to connect before it completes."""

    def __init__(self, other: Awaited) -> None:
        self.store = other.store

    async def complete(self, key: str, token: str, retention: float) -> bool:
        await asyncio.sleep(0.02)
        return await super().complete(key, token, retention)


class FailingLater:
    """A store that has to be awaited, and fails."""

    def __init__(self, *methods: str) -> None:
        self._methods = methods
        self._store = MemoryStore()

    async def claim(self, *args: Any) -> State:
        return self._call("claim", *args)  # type: ignore[no-any-return]

    async def renew(self, *args: Any) -> bool:
        return bool(self._call("renew", *args))

    async def complete(self, *args: Any) -> bool:
        return bool(self._call("complete", *args))

    async def release(self, *args: Any) -> bool:
        return bool(self._call("release", *args))

    def _call(self, name: str, *args: Any) -> Any:
        if name in self._methods:
            msg = "the store is away"
            raise StoreError(msg)
        return getattr(self._store, name)(*args)


def test_async_store_with_errors_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """They do not end the claims of others."""

    async def run() -> None:
        odd = await claim_async(on_route(Odd(MemoryStore()), providers.GITHUB, lease=0.9))
        claim = await claim_async(on_route(MemoryStore(), lease=0.9))
        await asyncio.sleep(1.2)
        assert await claim.complete()
        odd.rest()

    asyncio.run(run())
    assert "the lease of a delivery was not renewed: a reset" in caplog.text


def test_async_store_that_goes_away(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and tried again where that is of use."""

    async def run() -> None:
        claim = await claim_async(on_route(FailingLater("renew", "complete"), lease=0.9))
        await asyncio.sleep(1.2)
        assert not await claim.complete()
        with pytest.raises(StoreError):
            await claim_async(on_route(FailingLater("claim")))

    asyncio.run(run())
    assert caplog.text.count("the lease of a delivery was not renewed: the store is away") > 1
    assert "a delivery was not completed: the store is away" in caplog.text


def test_async_claim_that_is_lost() -> None:
    """What is not claim any more is not renewed."""

    async def run() -> None:
        claim = await claim_async(on_route(Awaited(), lease=0.9))
        time.sleep(1.05)  # noqa: ASYNC251  # as a handler does that blocks the event loop
        await asyncio.sleep(0.6)
        assert not _renewal.AsyncLeaseRenewer.of_loop()._claims  # noqa: SLF001
        assert not await claim.release()

    asyncio.run(run())


class TestReceiver:
    """What contradicts what, when a route is set up."""

    def test_senders_without_tenants(self) -> None:
        """Two senders could have the same content."""
        with pytest.raises(
            ConfigurationError, match=r"use store=Deduplicator\(\.\.\., tenant=\.\.\.\)"
        ):
            make_receiver(
                providers.FRAPPE, None, secret=lambda _request: SECRET, store=MemoryStore()
            )

    def test_store_that_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        """If the store cannot tell whether it is a repeat, the app has chosen what happens."""
        for on_store_error, status in (("refuse", 503), ("accept", None)):
            receiver = make_receiver(
                providers.FRAPPE,
                None,
                secret=SECRET,
                store=Deduplicator(Failing("claim"), on_store_error=on_store_error),  # type: ignore[arg-type]
            )
            response = receiver.claim(None, "", delivery_of())
            assert getattr(response, "status", None) == status
        assert caplog.text.count("webhook deferred: the store is away") == 2

    def test_without_a_store(self) -> None:
        """There is nothing to claim."""
        receiver = make_receiver(providers.FRAPPE, None, secret=SECRET)

        assert receiver.claim(None, "", delivery_of()) is None
        assert asyncio.run(receiver.claim_async(None, "", delivery_of(), in_thread)) is None

    @pytest.mark.parametrize(
        ("given", "options", "least"),
        [
            (providers.WEBHOOK_TIMESTAMPED, {"secret": SECRET}, 600),
            (providers.WEBHOOK_TIMESTAMPED, {"secret": SECRET, "tolerance": 50}, 100),
            (Verifier(SECRET, scheme=providers.WEBHOOK_TIMESTAMPED, tolerance=1000), {}, 2000),
        ],
        ids=["default", "option", "verifier"],
    )
    def test_tolerance(self, given: Any, options: Any, least: float) -> None:
        """What is taken for so long is remembered for so long."""
        short = Deduplicator(MemoryStore(), retention=least - 1)
        with pytest.raises(ConfigurationError, match=f"for {least} seconds"):
            make_receiver(given, None, store=short, **options)
        enough = Deduplicator(MemoryStore(), retention=least)
        assert make_receiver(given, None, store=enough, **options).deduplicates
