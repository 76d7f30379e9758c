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
    StoreError,
    Verifier,
    providers,
    sign_payload,
)
from frappe_hooksig import once as module
from frappe_hooksig.integrations._responses import Answer
from frappe_hooksig.once import Once
from frappe_hooksig.replay import State, keeper
from frappe_hooksig.replay.keeper import AsyncClaim, Claim
from frappe_hooksig.replay import MemoryStore
from tests.receivers import make_receiver

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    monkeypatch.setattr(module, "_LOOKS_EVERY", 0.01)


@pytest.fixture(autouse=True)
def own_keeper(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A keeper that no other test has left claims with."""
    own = keeper.LeaseRenewer()
    monkeypatch.setattr(keeper, "_keeper", own)
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
        self.keeps: list[float] = []

    def claim(self, key: str, token: str, lease: float) -> State:
        self.keys.append(key)
        self.leases.append(lease)
        return super().claim(key, token, lease)

    def complete(self, key: str, token: str, keep: float) -> bool:
        self.keeps.append(keep)
        return super().complete(key, token, keep)


class Awaited:
    """The same, to be awaited."""

    def __init__(self) -> None:
        self.store = Recording()

    async def claim(self, key: str, token: str, lease: float) -> State:
        return self.store.claim(key, token, lease)

    async def renew(self, key: str, token: str, lease: float) -> bool:
        return self.store.renew(key, token, lease)

    async def complete(self, key: str, token: str, keep: float) -> bool:
        return self.store.complete(key, token, keep)

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


def once(store: Any, scheme: Scheme = providers.FRAPPE, **options: Any) -> Once:
    return Once(store, [(scheme, None)], **options)


def held_by(claimed: Claim | Answer | None) -> Claim:
    """Return what has to be a claim."""
    assert isinstance(claimed, Claim)
    return claimed


def status_of(claimed: object) -> int:
    """Return the status of what has to be an answer."""
    assert isinstance(claimed, Answer)
    return claimed.status


class TestKey:
    """What tells deliveries apart."""

    def keys_of(self, *deliveries: Delivery, **options: Any) -> list[str]:
        stores = [Recording() for _ in deliveries]
        for store, delivery in zip(stores, deliveries, strict=True):
            once(store, delivery.scheme, **options).claim("request", "endpoint", delivery)
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
            asked = once(store, scheme, tenant=lambda request, tenant=tenant: tenant + request)
            asked.claim("!", endpoint, delivery_of(scheme=scheme))

        assert len(set(store.keys)) == 5


class TestTimes:
    """How long a claim and a memory last."""

    @pytest.mark.parametrize(
        ("scheme", "tolerance", "lease", "keep"),
        [
            (providers.FRAPPE, None, 4, 60),
            (providers.GITHUB, None, 30, 60),
            (providers.WEBHOOK_TIMESTAMPED, 300, 30, 600),
            (providers.STRIPE, 300, 30, 3 * 24 * 3600),
            (providers.FRAPPE, 86_400, 4, 172_800),
        ],
    )
    def test_defaults(
        self, scheme: Scheme, tolerance: float | None, lease: float, keep: float
    ) -> None:
        """They fit the sender's schedule, and the time for which a request is taken."""
        store = Recording()

        asked = Once(store, [(scheme, tolerance)])
        held_by(asked.claim(None, "", delivery_of(scheme=scheme))).settle(200)

        assert (store.leases, store.keeps) == ([lease], [keep])

    def test_given(self) -> None:
        """What is given holds."""
        store = Recording()

        held_by(once(store, lease=2, keep=5).claim(None, "", delivery_of())).settle(204)

        assert (store.leases, store.keeps) == ([2], [5])

    @pytest.mark.parametrize("lease", [0, -1, 5, 60, float("nan"), float("inf")])
    def test_wrong_lease(self, lease: float) -> None:
        """One that outlasts the sender's patience would lose what a dead process had claimed."""
        with pytest.raises(ConfigurationError, match=r"lease=.* below 5, in which the sender"):
            once(MemoryStore(), lease=lease)
        assert once(MemoryStore(), providers.GITHUB, lease=60)
        if not lease > 0 or lease == float("inf"):
            with pytest.raises(ConfigurationError, match=r"lease=\S+ is no number of seconds$"):
                once(MemoryStore(), providers.GITHUB, lease=lease)

    @pytest.mark.parametrize("keep", [0, -5, float("nan"), float("inf")])
    def test_wrong_keep(self, keep: float) -> None:
        """Nothing cannot be remembered."""
        with pytest.raises(ConfigurationError, match="is too short"):
            once(MemoryStore(), keep=keep)

    def test_keep_that_is_shorter_than_a_replay(self) -> None:
        """What can come again is not forgotten before."""
        with pytest.raises(
            ConfigurationError, match=r"keep=599 is too short.*: .* for 600 seconds"
        ):
            Once(MemoryStore(), [(providers.WEBHOOK_TIMESTAMPED, 300)], keep=599)

    def test_wrong_choice(self) -> None:
        """What becomes of a delivery without a store has two answers."""
        with pytest.raises(ConfigurationError, match="on_store_error"):
            once(MemoryStore(), on_store_error="ignore")


class TestClaim:
    """From a verified delivery to a claim, or an answer."""

    def test_states(self) -> None:
        """The first has it; the others wait for it, and learn what came of it."""
        asked = once(MemoryStore())
        held = held_by(asked.claim(None, "", delivery_of()))

        assert status_of(asked.claim(None, "", delivery_of())) == 409
        assert held.complete()
        assert status_of(asked.claim(None, "", delivery_of())) == 200

    @pytest.mark.parametrize("status", [100, 199, 300, 302, 404, 500])
    def test_failure(self, status: int) -> None:
        """What did not end well is the next one's at once."""
        asked = once(MemoryStore())

        assert held_by(asked.claim(None, "", delivery_of())).settle(status)
        assert held_by(asked.claim(None, "", delivery_of())).settle(200)

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_exception(self, error: type[BaseException]) -> None:
        """Nor did what did not end at all."""
        asked = once(MemoryStore())

        with pytest.raises(error), held_by(asked.claim(None, "", delivery_of())):
            raise error
        assert held_by(asked.claim(None, "", delivery_of())).release()

    def test_late(self, caplog: pytest.LogCaptureFixture) -> None:
        """Who settles after the lease has ended is told so in the log."""
        asked = once(MemoryStore(), lease=0.02)
        held = held_by(asked.claim(None, "", delivery_of()))
        held.rest()
        time.sleep(0.03)

        assert not held.settle(200)
        assert "a delivery was not completed: its lease had ended before" in caplog.text
        assert held_by(asked.claim(None, "", delivery_of())).release()

    @pytest.mark.parametrize("method", ["complete", "release"])
    def test_store_that_goes_away(self, caplog: pytest.LogCaptureFixture, method: str) -> None:
        """The handler has run by then: its answer is not taken back."""
        held = held_by(once(Failing(method)).claim(None, "", delivery_of()))

        assert not getattr(held, method)()
        assert f"a delivery was not {method}d: the store is away" in caplog.text

    @pytest.mark.parametrize("said", [True, None, "new"])
    def test_no_state(self, said: object) -> None:
        """A store that says anything else loses no delivery by it."""
        wrong = type("Wrong", (), {"claim": lambda *_args: said})

        with pytest.raises(TypeError, match=rf"returns a State, not {said!r}"):
            once(wrong()).claim(None, "", delivery_of())
        with pytest.raises(TypeError, match=rf"returns a State, not {said!r}"):
            asyncio.run(claim_async(once(wrong())))

    def test_no_store(self, caplog: pytest.LogCaptureFixture) -> None:
        """If it cannot be told whether it is a repeat, the app has chosen."""
        assert status_of(once(Failing("claim")).claim(None, "", delivery_of())) == 503
        assert (
            once(Failing("claim"), on_store_error="accept").claim(None, "", delivery_of()) is None
        )
        assert caplog.text.count("webhook put off: the store is away") == 2


class TestKeeper:
    """Claims of handlers that take longer than a lease."""

    def test_renews(self) -> None:
        """A claim does not end while its handler runs, and does when nobody keeps it."""
        asked = once(MemoryStore(), lease=0.9)
        with held_by(asked.claim(None, "", delivery_of())) as held:
            for _ in range(15):
                assert status_of(asked.claim(None, "", delivery_of())) == 409
            held.rest()
            time.sleep(1.05)
            assert held_by(asked.claim(None, "", delivery_of())).release()

    def test_shorter_one_comes(self) -> None:
        """Who waits for a long lease wakes up for a short one."""
        store = MemoryStore()
        long = held_by(once(store, providers.GITHUB, lease=60).claim(None, "long", delivery_of()))
        asked = once(store, lease=0.9)
        held = held_by(asked.claim(None, "", delivery_of()))
        time.sleep(1.5)

        assert held.complete()
        assert long.complete()

    def test_store_that_goes_away(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is tried again as long as the handler runs."""
        caplog.set_level(logging.WARNING)
        held = held_by(once(Failing("renew"), lease=0.9).claim(None, "", delivery_of()))
        time.sleep(1.2)
        held.rest()

        assert caplog.text.count("a delivery was not renewed: the store is away") > 1

    def test_store_with_errors_of_its_own(self, caplog: pytest.LogCaptureFixture) -> None:
        """They do not end the claims of others."""
        wrong = MemoryStore()
        odd = held_by(once(Odd(wrong), lease=0.9).claim(None, "odd", delivery_of()))
        time.sleep(0.5)
        held = held_by(once(MemoryStore(), lease=0.9).claim(None, "", delivery_of()))
        time.sleep(1.2)

        assert held.complete()
        odd.rest()
        assert "a delivery was not renewed: a reset" in caplog.text
        assert "Traceback" in caplog.text

    def test_no_thread(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If the machine has no thread left, the next claim gets one."""
        asked = once(MemoryStore(), lease=0.9)

        def start(_thread: object) -> None:
            msg = "can't start new thread"
            raise RuntimeError(msg)

        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", start)
            first = held_by(asked.claim(None, "first", delivery_of()))
        assert "a delivery will not be renewed: can't start new thread" in caplog.text
        second = held_by(asked.claim(None, "second", delivery_of()))
        time.sleep(1.2)

        assert first.complete()
        assert second.complete()

    def test_claim_that_is_lost(self, own_keeper: Any) -> None:
        """What is not held any more is not renewed."""
        held = held_by(once(Recording(), lease=0.9).claim(None, "", delivery_of()))
        own_keeper.remove(held)  # as if this process had slept
        time.sleep(1.05)
        own_keeper.add(held)
        time.sleep(0.6)

        assert not own_keeper._held  # noqa: SLF001

    def test_thread_ends(self, monkeypatch: pytest.MonkeyPatch, own_keeper: Any) -> None:
        """Where nothing is to be kept, nobody stays for it; and then somebody comes again."""
        monkeypatch.setattr(keeper, "_IDLE", 0.01)
        for _ in range(2):
            with held_by(once(MemoryStore(), lease=0.9).claim(None, "", delivery_of())) as held:
                assert own_keeper._thread is not None  # noqa: SLF001
                held.complete()
            deadline = time.monotonic() + 5
            while own_keeper._thread is not None:  # noqa: SLF001
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def test_no_forks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Windows has none."""
        monkeypatch.delattr(os, "register_at_fork")
        own = keeper.LeaseRenewer()
        monkeypatch.setattr(keeper, "_keeper", own)

        assert held_by(once(MemoryStore()).claim(None, "", delivery_of())).complete()

    def test_forked_process(self) -> None:
        """A process that was forked while others kept claims keeps its own."""
        held = held_by(once(MemoryStore(), lease=0.9).claim(None, "", delivery_of()))
        process = multiprocessing.get_context("fork").Process(target=renew_in_a_fork)
        process.start()
        process.join(10)
        held.complete()

        assert process.exitcode == 0


def renew_in_a_fork() -> None:
    """Hold a claim for longer than its lease."""
    asked = once(MemoryStore(), lease=0.9)
    held = held_by(asked.claim(None, "", delivery_of()))
    time.sleep(1.8)
    assert held.complete()


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await asyncio.to_thread(function, *args)


async def claim_async(asked: Once) -> Any:
    return await asked.claim_async(None, "", delivery_of(), in_thread)


@pytest.mark.parametrize("make", [MemoryStore, Awaited])
class TestAsync:
    """The same for asyncio, with stores of both kinds."""

    def test_states(self, make: Any) -> None:
        """The first has it; the others wait for it, and learn what came of it."""

        async def run() -> list[Any]:
            asked = once(make())
            held: AsyncClaim = await claim_async(asked)
            second = await claim_async(asked)
            assert await held.settle(503)
            again: AsyncClaim = await claim_async(asked)
            assert await again.settle(200)
            return [second, await claim_async(asked)]

        assert [status_of(answer) for answer in asyncio.run(run())] == [409, 200]

    def test_renews(self, make: Any) -> None:
        """A claim does not end while its handler runs, and does when nobody keeps it."""

        async def run() -> None:
            asked = once(make(), lease=0.9)
            long = await claim_async(once(make(), providers.GITHUB, lease=60))
            async with await claim_async(asked) as held:
                for _ in range(15):
                    assert status_of(await claim_async(asked)) == 409
                held.rest()
                await asyncio.sleep(1.05)
                assert not await held.complete()
                assert await (await claim_async(asked)).release()
            assert await long.release()

        asyncio.run(run())

    def test_cancelled(self, make: Any) -> None:
        """What was cancelled is the next one's."""

        async def handle(asked: Once, begun: asyncio.Event) -> None:
            async with await claim_async(asked):
                begun.set()
                await asyncio.sleep(60)

        async def run() -> None:
            asked, begun = once(make()), asyncio.Event()
            handler = asyncio.create_task(handle(asked, begun))
            await begun.wait()
            handler.cancel()
            with pytest.raises(asyncio.CancelledError):
                await handler
            assert await (await claim_async(asked)).release()

        asyncio.run(run())

    def test_cancelled_when_handled(self, make: Any) -> None:
        """What was handled stays so, although its sender has hung up before the store knew."""

        async def handle(asked: Once, begun: asyncio.Event) -> None:
            async with await claim_async(asked) as held:
                begun.set()
                await held.settle(200)

        async def run() -> Any:
            store = make()
            asked, begun = once(Slow(store) if make is Awaited else store), asyncio.Event()
            handler = asyncio.create_task(handle(asked, begun))
            await begun.wait()
            handler.cancel()
            with pytest.raises(asyncio.CancelledError):
                await handler
            return await claim_async(asked)

        assert status_of(asyncio.run(run())) == 200


def test_event_loops_are_forgotten() -> None:
    """A loop for each request, as Django has under WSGI, leaves nothing behind."""
    loops: list[Any] = []

    async def run() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        async with await claim_async(once(Awaited())) as held:
            await asyncio.sleep(0)
            await held.settle(200)

    for _ in range(3):
        asyncio.run(run())
    gc.collect()

    assert [loop() for loop in loops] == [None] * 3


class Slow(Awaited):
    """One that has to connect before it completes."""

    def __init__(self, other: Awaited) -> None:
        self.store = other.store

    async def complete(self, key: str, token: str, keep: float) -> bool:
        await asyncio.sleep(0.02)
        return await super().complete(key, token, keep)


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
        odd = await claim_async(once(Odd(MemoryStore()), providers.GITHUB, lease=0.9))
        held = await claim_async(once(MemoryStore(), lease=0.9))
        await asyncio.sleep(1.2)
        assert await held.complete()
        odd.rest()

    asyncio.run(run())
    assert "a delivery was not renewed: a reset" in caplog.text


def test_async_store_that_goes_away(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and tried again where that is of use."""

    async def run() -> int:
        held = await claim_async(once(FailingLater("renew", "complete"), lease=0.9))
        await asyncio.sleep(1.2)
        assert not await held.complete()
        return status_of(await claim_async(once(FailingLater("claim"))))

    assert asyncio.run(run()) == 503
    assert caplog.text.count("a delivery was not renewed: the store is away") > 1
    assert "a delivery was not completed: the store is away" in caplog.text


def test_async_claim_that_is_lost() -> None:
    """What is not held any more is not renewed."""

    async def run() -> None:
        held = await claim_async(once(Awaited(), lease=0.9))
        time.sleep(1.05)  # noqa: ASYNC251  # as a handler does that blocks the event loop
        await asyncio.sleep(0.6)
        assert not keeper.AsyncLeaseRenewer.of_loop()._held  # noqa: SLF001
        assert not await held.release()

    asyncio.run(run())


class TestReceiver:
    """What contradicts what, when a route is set up."""

    def test_senders_without_tenants(self) -> None:
        """Two senders could have the same content."""
        with pytest.raises(ConfigurationError, match="tenant= has to tell which one it is"):
            make_receiver(
                providers.FRAPPE, None, secret=lambda _request: SECRET, store=MemoryStore()
            )

    @pytest.mark.parametrize(
        "options",
        [{"lease": 1}, {"keep": 1}, {"tenant": str}, {"on_store_error": "accept"}],
        ids=str,
    )
    def test_nothing_to_remember_with(self, options: dict[str, Any]) -> None:
        """Options without a store would be lost."""
        with pytest.raises(ConfigurationError, match="need store="):
            make_receiver(providers.FRAPPE, None, secret=SECRET, **options)

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
        with pytest.raises(ConfigurationError, match=f"for {least} seconds"):
            make_receiver(given, None, store=MemoryStore(), keep=least - 1, **options)
        assert make_receiver(given, None, store=MemoryStore(), keep=least, **options).once
