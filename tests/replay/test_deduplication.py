"""Which key a delivery has in a store, for how long, and what becomes of a claim."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import multiprocessing
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from frappe_hooksig import (
    ConfigurationError,
    Delivery,
    MalformedPayload,
    Scheme,
    Secret,
    StoreError,
    Verifier,
    providers,
    sign_payload,
)
from frappe_hooksig.replay import (
    Claim,
    Deduplicator,
    MemoryStore,
    SQLiteStore,
    State,
    _renewal,
)
from frappe_hooksig.replay import _deduplication as module
from frappe_hooksig.replay._callers import BLOCKING, Awaiting
from frappe_hooksig.replay._claims import Lease
from frappe_hooksig.replay._deduplication import Deduplication
from frappe_hooksig.replay._steps import run, run_async
from tests.receivers import Incoming, make_receiver

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OLD = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    monkeypatch.setattr(module, "_LOOKS_EVERY", 0.01)


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

    async def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
        return self.store.renew(claims, lease)

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

    def renew(self, *_args: object) -> list[bool]:
        msg = "a reset"
        raise ConnectionResetError(msg)


def on_route(store: Any, scheme: Scheme = providers.FRAPPE, **options: Any) -> Deduplication:
    """Return what a route has that takes one scheme."""
    return Deduplication(Deduplicator(store, **options), [(scheme, None)])


def claim(
    asked: Deduplication,
    request: object = None,
    endpoint: str = "",
    delivery: Delivery | None = None,
) -> Lease | State:
    """Claim a delivery, as sync code does."""
    return run(asked.claim(BLOCKING, request, endpoint, delivery or delivery_of()))


def lease_of(
    asked: Deduplication, request: object = None, endpoint: str = "", **made: Any
) -> Lease:
    """Claim a delivery that has to be new."""
    claimed = claim(asked, request, endpoint, delivery_of(**made))
    assert isinstance(claimed, Lease)
    return claimed


class TestKey:
    """What tells deliveries apart."""

    def keys_of(self, *deliveries: Delivery, **options: Any) -> list[str]:
        stores = [Recording() for _ in deliveries]
        for store, delivery in zip(stores, deliveries, strict=True):
            claim(on_route(store, delivery.scheme, **options), "request", "endpoint", delivery)
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
            lease_of(asked, "!", endpoint, scheme=scheme)

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
        run(lease_of(asked, scheme=scheme).settle(200))

        assert (store.leases, store.retentions) == ([lease], [retention])

    def test_given(self) -> None:
        """What is given holds."""
        store = Recording()

        run(lease_of(on_route(store, lease=2, retention=5)).settle(204))

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
            claim(asked)

    def test_tenants_with_one_repr(self) -> None:
        """Two senders stay two, however their names describe themselves."""

        class Hidden(str):
            __slots__ = ()

            def __repr__(self) -> str:
                return "'***'"

        asked = on_route(MemoryStore(), tenant=Hidden)
        assert run(lease_of(asked, "a").complete())
        assert run(lease_of(asked, "b").complete())
        assert claim(asked, "a") is State.DONE

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
    """From a verified delivery to a lease, or an answer."""

    def test_states(self) -> None:
        """The first has it; the others wait for it, and learn what came of it."""
        asked = on_route(MemoryStore())
        lease = lease_of(asked)

        assert claim(asked) is State.IN_FLIGHT
        assert run(lease.complete())
        assert claim(asked) is State.DONE

    @pytest.mark.parametrize("status", [100, 199, 300, 302, 404, 500])
    def test_failure(self, status: int) -> None:
        """What did not end well is the next one's at once."""
        asked = on_route(MemoryStore())

        assert run(lease_of(asked).settle(status))
        assert run(lease_of(asked).settle(200))

    def test_late(self, caplog: pytest.LogCaptureFixture) -> None:
        """Who settles after the lease has ended is told so in the log."""
        store = MemoryStore()
        lease = lease_of(on_route(store, lease=0.02))
        lease.rest()
        time.sleep(0.03)

        assert not run(lease.settle(200))
        assert "a delivery was not completed: its lease had already ended" in caplog.text
        assert run(lease_of(on_route(store, lease=4)).release())

    @pytest.mark.parametrize("method", ["complete", "release"])
    def test_store_that_goes_away(self, caplog: pytest.LogCaptureFixture, method: str) -> None:
        """The handler has run by then: its answer is not taken back."""
        lease = lease_of(on_route(Failing(method)))

        assert not run(getattr(lease, method)())
        assert f"a delivery was not {method}d: the store is away" in caplog.text

    @pytest.mark.parametrize("said", [True, None, "new"])
    def test_no_state(self, said: object) -> None:
        """A store that says anything else loses no delivery by it."""
        wrong = type("Wrong", (MemoryStore,), {"claim": lambda *_args: said})

        with pytest.raises(TypeError, match=rf"must return a State, not {said!r}"):
            claim(on_route(wrong()))
        with pytest.raises(TypeError, match=rf"must return a State, not {said!r}"):
            asyncio.run(claim_async(on_route(wrong())))

    def test_no_store(self) -> None:
        """The caller learns that the store cannot tell whether it is a repeat."""
        with pytest.raises(StoreError, match="the store is away"):
            claim(on_route(Failing("claim")))

    def test_interrupted_while_settling(self) -> None:
        """What may be settled already is not undone."""

        class Interrupted(MemoryStore):
            def complete(self, key: str, token: str, retention: float) -> bool:
                super().complete(key, token, retention)
                raise KeyboardInterrupt

        asked = on_route(Interrupted())
        with pytest.raises(KeyboardInterrupt):
            run(lease_of(asked).complete())
        assert claim(asked) is State.DONE

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_interrupted_in_the_moment_of_the_claim(self, error: type[BaseException]) -> None:
        """What the store has claimed for nobody is the next one's at once."""

        class Interrupted(MemoryStore):
            def claim(self, key: str, token: str, lease: float) -> State:
                state = super().claim(key, token, lease)
                if not seen:
                    seen.append(state)
                    raise error
                return state

        seen: list[State] = []
        asked = on_route(Interrupted())

        with pytest.raises(error):
            claim(asked)
        assert run(lease_of(asked).complete())
        assert seen == [State.NEW]


class TestSecondsLeft:
    """What a handler learns of its claim."""

    def test_running(self) -> None:
        """It counts down, and a renewal starts it again."""
        lease = lease_of(on_route(MemoryStore(), lease=2.7))
        left = [Claim(lease).seconds_left]
        time.sleep(0.2)
        left.append(Claim(lease).seconds_left)
        time.sleep(1.2)
        left.append(Claim(lease).seconds_left)
        run(lease.complete())

        assert 2.7 >= left[0] > left[1] > 0
        assert left[2] > left[1] - 1.2  # it was renewed after 0.9 s
        assert "seconds left>" in repr(Claim(lease))

    def test_lost(self) -> None:
        """Nothing is left once the store says so, or the time has run out."""
        store = MemoryStore()
        lost = lease_of(on_route(store, lease=0.6))
        store.release(lost.key, lost.token)
        ended = lease_of(on_route(MemoryStore(), lease=0.05))
        ended.rest()
        time.sleep(0.4)

        assert Claim(lost).seconds_left == Claim(ended).seconds_left == 0

    def test_no_lease(self) -> None:
        """A delivery that was accepted without a claim is nobody else's by this process's word."""
        assert Claim(None).seconds_left == math.inf


class TestStoreOfARequest:
    """A Deduplicator whose store depends on the request."""

    def test_function(self) -> None:
        """Each request's store remembers its own."""
        stores = {"a": Recording(), "b": Recording()}
        asked = on_route(lambda request: stores[request])
        for request in ("a", "b"):
            run(lease_of(asked, request).settle(200))

        assert claim(asked, "a") is State.DONE
        assert [len(store.keys) for store in stores.values()] == [2, 1]

    def test_function_of_an_async_store(self) -> None:
        """It is refused where nobody can wait for it."""
        with pytest.raises(ConfigurationError, match="store= is an async store"):
            claim(on_route(lambda _request: Awaited()))

    def test_function_that_returns_no_store(self) -> None:
        """The mistake is named when the request comes."""
        with pytest.raises(ConfigurationError, match="store= is of type NoneType, not a store"):
            claim(on_route(lambda _request: None))


@pytest.mark.parametrize(
    ("store", "message"),
    [
        (MemoryStore, r"store= is the class MemoryStore: pass a store, MemoryStore\(\.\.\.\)"),
        (
            "deliveries.sqlite",
            r"store= is of type str, not a store: pass one, such as SQLiteStore\(",
        ),
        (lambda _request: MemoryStore(), r"not a store: pass a function inside Deduplicator\("),
    ],
    ids=["class", "path", "function"],
)
def test_no_store(store: Any, message: str) -> None:
    """What is not a store is refused at the start, in our own words."""
    with pytest.raises(ConfigurationError, match=message):
        make_receiver(providers.FRAPPE, secret=SECRET, store=store)


class TestRenewal:
    """Claims of handlers that take longer than a lease."""

    def test_renews(self) -> None:
        """A claim does not end while its handler runs, and does when nobody renews it."""
        asked = on_route(MemoryStore(), lease=1.8)
        lease = lease_of(asked)
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            assert claim(asked) is State.IN_FLIGHT
        lease.rest()
        time.sleep(1.95)

        assert run(lease_of(asked).release())

    def test_many_claims_are_one_call(self) -> None:
        """However many claims a store has, they are renewed together."""
        calls: list[int] = []

        class Counting(MemoryStore):
            def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
                calls.append(len(claims))
                return super().renew(claims, lease)

        asked = on_route(Counting(), lease=0.9)
        leases = [lease_of(asked, endpoint=str(n)) for n in range(20)]
        time.sleep(0.5)
        for lease in leases:
            assert run(lease.complete())

        assert max(calls) > 1
        assert len(calls) < len(leases)

    def test_store_that_hangs(self) -> None:
        """It delays no other store's renewals."""
        hanging = threading.Event()

        class Hanging(MemoryStore):
            def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
                hanging.wait(10)
                return super().renew(claims, lease)

        stuck = lease_of(on_route(Hanging(), lease=0.6))
        lease = lease_of(on_route(MemoryStore(), lease=0.6))
        time.sleep(1.2)

        assert run(lease.complete())
        hanging.set()
        assert not run(stuck.complete())

    def test_shorter_one_comes(self) -> None:
        """Who waits for a long lease wakes up for a short one."""
        store = MemoryStore()
        long = lease_of(on_route(store, providers.GITHUB, lease=60), endpoint="long")
        lease = lease_of(on_route(store, lease=0.9))
        time.sleep(1.5)

        assert run(lease.complete())
        assert run(long.complete())

    def test_store_that_goes_away(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is tried again as long as the handler runs."""
        caplog.set_level(logging.WARNING)
        lease = lease_of(on_route(Failing("renew"), lease=0.9))
        time.sleep(1.2)
        lease.rest()

        assert caplog.text.count("leases of deliveries were not renewed: the store is away") > 1

    def test_store_with_errors_of_its_own(self, caplog: pytest.LogCaptureFixture) -> None:
        """They are logged with their traceback, and end nothing."""
        odd = lease_of(on_route(Odd(MemoryStore()), lease=0.9), endpoint="odd")
        time.sleep(0.7)
        odd.rest()

        assert "leases of deliveries were not renewed: a reset" in caplog.text
        assert "Traceback" in caplog.text

    def test_store_that_answers_for_too_few(self, caplog: pytest.LogCaptureFixture) -> None:
        """No claim is taken for renewed that the store said nothing of."""
        wrong = type("Wrong", (MemoryStore,), {"renew": lambda *_args: []})
        lease = lease_of(on_route(wrong(), lease=0.6))
        time.sleep(0.4)
        lease.rest()

        assert "leases of deliveries were not renewed: zip()" in caplog.text

    def test_no_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A claim that cannot be renewed is given back, and the store counts as unavailable."""
        asked = on_route(MemoryStore(), lease=0.9)

        def start(_thread: object) -> None:
            msg = "can't start new thread"
            raise RuntimeError(msg)

        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", start)
            for attempt in (lambda: claim(asked), lambda: asyncio.run(claim_async(asked))):
                with pytest.raises(StoreError, match="can't start new thread"):
                    attempt()

        assert run(lease_of(asked).complete())

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_thread_that_ends_with_an_error(self) -> None:
        """The next claim gets another one."""
        ended, renewed = threading.Event(), threading.Event()

        class Ending(MemoryStore):
            def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
                if not ended.is_set():
                    ended.set()
                    raise SystemExit
                renewed.set()
                return super().renew(claims, lease)

        store = Ending()
        asked = on_route(store, lease=3)
        first = lease_of(asked, endpoint="first")
        assert ended.wait(10)
        while _renewal.StoreThreads.of(store)._thread is not None:  # noqa: SLF001
            time.sleep(0.01)
        second = lease_of(asked, endpoint="second")

        assert renewed.wait(10)
        assert run(second.complete())
        assert run(first.release())

    def test_log_that_fails(self) -> None:
        """An error in a filter of the log does not end the renewals."""
        failing = ["renew"]

        class FailingOnce(MemoryStore):
            def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
                if failing:
                    raise StoreError(failing.pop())
                return super().renew(claims, lease)

        lease = lease_of(on_route(FailingOnce(), lease=0.6))

        def fail(_record: object) -> bool:
            raise RuntimeError

        log = logging.getLogger("frappe_hooksig")
        log.addFilter(fail)
        try:
            time.sleep(0.4)
        finally:
            log.removeFilter(fail)
        time.sleep(0.4)

        assert run(lease.complete())

    def test_claim_that_is_lost(self) -> None:
        """A lease that has ended is not renewed any more."""
        store = MemoryStore()
        lease = lease_of(on_route(store, lease=0.6))
        renewer = _renewal.StoreThreads.of(store)
        store.release(lease.key, lease.token)
        time.sleep(0.4)

        assert not renewer._leases  # noqa: SLF001

    def test_thread_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nothing is to be renewed, nobody stays for it; and then somebody comes again."""
        monkeypatch.setattr(_renewal, "_IDLE", 0.01)
        store = MemoryStore()
        for _ in range(2):
            lease = lease_of(on_route(store, lease=0.9))
            renewer = _renewal.StoreThreads.of(store)
            assert renewer._thread is not None  # noqa: SLF001
            assert run(lease.release())
            deadline = time.monotonic() + 5
            while renewer._thread is not None:  # noqa: SLF001
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def test_store_is_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A store for each request leaves nothing behind."""
        monkeypatch.setattr(_renewal, "_IDLE", 0.01)

        class Own(MemoryStore):
            __slots__ = ("__weakref__",)

        def handle() -> weakref.ref[Own]:
            store = Own()
            run(lease_of(on_route(store, lease=0.6)).complete())
            asyncio.run(run_async(asyncio.run(claim_async(on_route(store), "later")).complete()))
            return weakref.ref(store)

        store = handle()
        deadline = time.monotonic() + 5
        while store() is not None:
            assert time.monotonic() < deadline
            gc.collect()
            time.sleep(0.01)

    def test_forked_process(self, tmp_path: Path) -> None:
        """A process that was forked while others kept claims keeps its own."""
        store = SQLiteStore(tmp_path / "deliveries.sqlite")
        lease = lease_of(on_route(store, lease=0.9))
        process = multiprocessing.get_context("fork").Process(target=renew_in_a_fork, args=(store,))
        process.start()
        process.join(60)  # coverage saves its data at the end, which takes long on a busy machine

        assert run(lease.complete())
        assert process.exitcode == 0


def renew_in_a_fork(store: SQLiteStore) -> None:
    """Hold a claim for longer than its lease."""
    lease = lease_of(on_route(store, lease=0.9), endpoint="in the fork")
    time.sleep(1.8)
    assert run(lease.complete())


async def claim_async(asked: Deduplication, endpoint: str = "") -> Any:
    """Claim a delivery, as async code does."""
    io = Awaiting(asyncio.to_thread)
    return await run_async(asked.claim(io, None, endpoint, delivery_of()))


@pytest.mark.parametrize("make", [MemoryStore, Awaited])
class TestAsync:
    """The same for asyncio, with stores of both kinds."""

    def test_states(self, make: Any) -> None:
        """The first has it; the others wait for it, and learn what came of it."""

        async def play() -> list[Any]:
            asked = on_route(make())
            lease = await claim_async(asked)
            second = await claim_async(asked)
            assert await run_async(lease.settle(503))
            again = await claim_async(asked)
            assert await run_async(again.settle(200))
            return [second, await claim_async(asked)]

        assert asyncio.run(play()) == [State.IN_FLIGHT, State.DONE]

    def test_renews(self, make: Any) -> None:
        """A claim does not end while its handler runs, and does when nobody renews it."""

        async def play() -> None:
            asked = on_route(make(), lease=1.8)
            long = await claim_async(on_route(make(), providers.GITHUB, lease=60))
            lease = await claim_async(asked)
            end = time.monotonic() + 2.5
            while time.monotonic() < end:
                assert await claim_async(asked) is State.IN_FLIGHT
            lease.rest()
            await asyncio.sleep(1.95)
            assert not await run_async(lease.complete())
            assert await run_async((await claim_async(asked)).release())
            assert await run_async(long.release())

        asyncio.run(play())

    def test_shorter_one_comes(self, make: Any) -> None:
        """Who waits for a long lease wakes up for a short one."""

        async def play() -> None:
            store = make()
            long = await claim_async(on_route(store, providers.GITHUB, lease=60), "long")
            await asyncio.sleep(0.05)
            lease = await claim_async(on_route(store, lease=0.9))
            await asyncio.sleep(1.5)
            assert await run_async(lease.complete())
            assert await run_async(long.complete())

        asyncio.run(play())


class SlowToClaim(Recording):
    """One that takes a while to claim."""

    def claim(self, key: str, token: str, lease: float) -> State:
        time.sleep(0.02)
        return super().claim(key, token, lease)


class ConnectsToClaim(Awaited):
    """The same, to be awaited."""

    async def claim(self, key: str, token: str, lease: float) -> State:
        await asyncio.sleep(0.02)
        return await super().claim(key, token, lease)


@pytest.mark.parametrize("make", [SlowToClaim, ConnectsToClaim])
@pytest.mark.parametrize("moment", range(8))
def test_cancelled_in_the_moment_of_its_claim(
    make: Any, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim is nobody's then: it is released, long before its lease ends."""
    monkeypatch.setattr(module, "_PATIENCE", 10)

    async def play() -> bool:
        asked = on_route(make(), providers.GITHUB, lease=60)
        claiming = asyncio.create_task(claim_async(asked))
        for _ in range(moment):
            await asyncio.sleep(0)
        claiming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await claiming
        return await run_async((await claim_async(asked)).complete())

    assert asyncio.run(play())


def test_function_that_raises_stop_iteration() -> None:
    """A store that calls next() in vain fails, and its caller does not wait for ever."""
    wrong = type("Wrong", (MemoryStore,), {"claim": lambda *_args: next(iter(()))})

    with pytest.raises(RuntimeError, match="raised StopIteration"):
        asyncio.run(asyncio.wait_for(claim_async(on_route(wrong())), 5))


def test_coroutine_from_a_thread() -> None:
    """A lambda around an async function is called in a thread, and its coroutine is awaited."""

    async def answer() -> int:
        return 200

    def steps() -> Any:
        status = yield lambda: asyncio.to_thread(lambda: answer())  # noqa: PLW0108
        return status

    assert asyncio.run(run_async(steps())) == 200


def test_event_loops_are_forgotten() -> None:
    """A loop for each request, as Django has under WSGI, leaves nothing behind."""
    loops: list[Any] = []

    async def play() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await run_async((await claim_async(on_route(Awaited()))).settle(200))

    for _ in range(3):
        asyncio.run(play())
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

    async def renew(self, *args: Any) -> list[bool]:
        return self._call("renew", *args)  # type: ignore[no-any-return]

    async def complete(self, *args: Any) -> bool:
        return bool(self._call("complete", *args))

    async def release(self, *args: Any) -> bool:
        return bool(self._call("release", *args))

    def _call(self, name: str, *args: Any) -> Any:
        if name in self._methods:
            msg = "the store is away"
            raise StoreError(msg)
        return getattr(self._store, name)(*args)


def test_async_store_that_goes_away(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and tried again where that is of use."""

    async def play() -> None:
        lease = await claim_async(on_route(FailingLater("renew", "complete"), lease=0.9))
        await asyncio.sleep(1.2)
        assert not await run_async(lease.complete())
        with pytest.raises(StoreError):
            await claim_async(on_route(FailingLater("claim")))

    asyncio.run(play())
    assert caplog.text.count("leases of deliveries were not renewed: the store is away") > 1
    assert "a delivery was not completed: the store is away" in caplog.text


def test_async_claim_that_is_lost() -> None:
    """A lease that has ended is not renewed any more."""

    async def play() -> None:
        store = Awaited()
        lease = await claim_async(on_route(store, lease=0.9))
        time.sleep(1.05)  # noqa: ASYNC251  # as a handler does that blocks the event loop
        await asyncio.sleep(0.6)
        assert not _renewal.LoopTask.of(store)._leases  # noqa: SLF001
        assert Claim(lease).seconds_left == 0
        assert not await run_async(lease.release())

    asyncio.run(play())


SIGNED = sign_payload(b"{}", SECRET)


def handle(receiver: Any, call: Callable[[], Any], *, method: str = "POST") -> Any:
    """Run a signed request and its handler through a receiver, as sync code does."""
    request = Incoming(SIGNED.headers, SIGNED.body, method=method)
    return run(receiver.handle(BLOCKING, request, "view", call))


async def handle_async(receiver: Any, call: Callable[[], Any]) -> Any:
    """Run the same as async code does."""
    request = Incoming(SIGNED.headers, SIGNED.body)
    return await run_async(receiver.handle(Awaiting(asyncio.to_thread), request, "view", call))


def route(store: Any) -> Any:
    """Return the receiver of a route with a store."""
    return make_receiver(providers.FRAPPE, secret=SECRET, store=store)


class TestHandler:
    """What becomes of a claim when its handler ends."""

    def test_outcomes(self) -> None:
        """A failure is the next one's; a success is remembered."""
        receiver = route(MemoryStore())
        statuses = [handle(receiver, lambda: 500), handle(receiver, lambda: 200)]

        assert statuses == [500, 200]
        assert handle(receiver, pytest.fail).content["status"] == "duplicate"

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_exception(self, error: type[BaseException]) -> None:
        """What did not end at all is the next one's too."""
        receiver = route(MemoryStore())

        def fail() -> None:
            raise error

        with pytest.raises(error):
            handle(receiver, fail)
        with pytest.raises(error):
            asyncio.run(handle_async(receiver, fail))
        assert handle(receiver, lambda: 200) == 200

    def test_payload_that_it_cannot_read(self) -> None:
        """The answer is a refusal, and the next attempt is handled."""
        receiver = route(MemoryStore())

        def fail() -> None:
            raise MalformedPayload

        plain = make_receiver(providers.FRAPPE, secret=SECRET)
        assert handle(plain, fail).status == 400
        assert handle(receiver, lambda: 200) == 200

    def test_result_that_is_no_response(self) -> None:
        """If the framework cannot answer with it, the next attempt is handled."""
        receiver = route(MemoryStore())

        with pytest.raises(TypeError):
            handle(receiver, lambda: None)
        assert handle(receiver, lambda: 200) == 200

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    def test_method_that_only_reads(self, method: str) -> None:
        """Whoever has seen a request cannot use it up by another method."""
        receiver = route(MemoryStore())

        assert [handle(receiver, lambda: 200, method=method) for _ in range(2)] == [200, 200]
        assert handle(receiver, lambda: 201) == 201
        assert handle(receiver, pytest.fail).content["status"] == "duplicate"

    @pytest.mark.parametrize("make", [MemoryStore, Awaited])
    def test_cancelled(self, make: Any) -> None:
        """What was cancelled is the next one's."""

        async def play() -> Any:
            begun = asyncio.Event()

            async def wait() -> None:
                begun.set()
                await asyncio.sleep(60)

            async def succeed() -> int:
                return 200

            receiver = route(make())
            handling = asyncio.create_task(handle_async(receiver, wait))
            await begun.wait()
            handling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await handling
            return await handle_async(receiver, succeed)

        assert asyncio.run(play()) == 200

    @pytest.mark.parametrize("make", [MemoryStore, lambda: Slow(Awaited())])
    def test_cancelled_when_handled(self, make: Any) -> None:
        """What was handled stays so, although its sender has hung up before the store knew."""

        async def play() -> Any:
            async def succeed() -> int:
                asyncio.get_running_loop().call_soon(handling.cancel)
                return 200

            receiver = route(make())
            handling = asyncio.create_task(handle_async(receiver, succeed))
            with pytest.raises(asyncio.CancelledError):
                await handling
            return await handle_async(receiver, pytest.fail)

        assert asyncio.run(play()).content["status"] == "duplicate"

    def test_given_up(self) -> None:
        """A flow that nobody runs any more renews nothing."""
        store = MemoryStore()
        for receiver in (route(store), make_receiver(providers.FRAPPE, secret=SECRET)):
            request = Incoming(SIGNED.headers, SIGNED.body)
            steps = receiver.handle(BLOCKING, request, "view", pytest.fail)
            call = next(steps)
            while call is not pytest.fail:
                call = steps.send(call())
            steps.close()

        assert not _renewal.StoreThreads.of(store)._leases  # noqa: SLF001


class TestReceiver:
    """What contradicts what, when a route is set up."""

    def test_senders_without_tenants(self) -> None:
        """Two senders could have the same content."""
        with pytest.raises(
            ConfigurationError, match=r"use store=Deduplicator\(\.\.\., tenant=\.\.\.\)"
        ):
            make_receiver(providers.FRAPPE, secret=lambda _request: SECRET, store=MemoryStore())

    def test_store_that_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        """If the store cannot tell whether it is a repeat, the app has chosen what happens."""
        failing: Any = Failing("claim")
        refusing = route(Deduplicator(failing))
        accepting = route(Deduplicator(failing, on_store_error="accept"))

        assert handle(refusing, pytest.fail).status == 503
        assert handle(accepting, lambda: 200) == 200
        assert (
            caplog.text.count("webhook store-error at POST / (scheme frappe, header none, body ")
            == 2
        )

    def test_claim(self) -> None:
        """A view learns of its claim, of one that the app does without, and that it has none."""
        claims: list[Claim] = []
        failing: Any = Failing("claim")
        for store in (MemoryStore(), Deduplicator(failing, on_store_error="accept")):
            request = Incoming(SIGNED.headers, SIGNED.body)

            def call(request: Any = request) -> int:
                claims.append(request.who.claim())
                return 200

            run(route(store).handle(BLOCKING, request, "view", call))
        bare = Incoming(SIGNED.headers, SIGNED.body)
        run(make_receiver(providers.FRAPPE, secret=SECRET).handle(BLOCKING, bare, "", lambda: 200))

        assert [claim.seconds_left for claim in claims] == [pytest.approx(4, abs=1), math.inf]
        with pytest.raises(ConfigurationError, match="this route has no store="):
            bare.who.claim()  # type: ignore[attr-defined]

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
            make_receiver(given, store=short, **options)
        enough = Deduplicator(MemoryStore(), retention=least)
        assert make_receiver(given, store=enough, **options).deduplicates
