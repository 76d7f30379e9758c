"""A secret, a store or a clock that is replaced for one test."""

from __future__ import annotations

import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.test import TestCase
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from flask import Flask

from frappe_hooksig import (
    ConfigurationError,
    Delivery,
    MultiVerifier,
    Secret,
    VerificationError,
    Verifier,
    providers,
    sign_payload,
)
from frappe_hooksig.integrations.fastapi import FrappeWebhook, WebhookRoute
from frappe_hooksig.integrations.flask import verify_frappe_webhook
from frappe_hooksig.providers import FRAPPE, GITHUB, STRIPE
from frappe_hooksig.replay import MemoryStore, SQLiteStore, State
from frappe_hooksig.testing import Clock, delivery, fresh_store, override, signed_request
from tests.test_redaction import frames_of_ours
from tests.testing.routes import ROUTES, route, site

__all__ = ["route", "site"]  # fixtures

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
SIGNED = sign_payload({"name": "SO-00001"}, SECRET)


@pytest.fixture
def flask_app(tmp_path: Path) -> Any:
    """An app whose store is fixed."""
    app = Flask("once")

    @app.post("/")
    @verify_frappe_webhook(secret=SECRET, store=SQLiteStore(tmp_path / "deliveries.sqlite"))
    def hook() -> dict[str, str]:
        return {"status": "handled"}

    def send() -> Any:
        return app.test_client().post("/", data=SIGNED.body, headers=SIGNED.headers).json

    return send


@pytest.fixture
def fastapi_app(tmp_path: Path) -> Any:
    """The same for asyncio."""
    webhook = FrappeWebhook(secret=SECRET, store=SQLiteStore(tmp_path / "deliveries.sqlite"))
    router = APIRouter(route_class=WebhookRoute)

    @router.post("/")
    async def hook(delivery: Delivery = Depends(webhook)) -> dict[str, str]:
        return {"status": "handled" if delivery.is_signed else ""}

    app = FastAPI()
    app.include_router(router)

    def send() -> Any:
        return TestClient(app).post("/", content=SIGNED.body, headers=SIGNED.headers).json()

    return send


@pytest.mark.parametrize("name", ["flask_app", "fastapi_app"])
def test_each_test_has_its_own(name: str, request: pytest.FixtureRequest) -> None:
    """The app's own store learns nothing of what the tests send, nor one test of another."""
    send = request.getfixturevalue(name)
    statuses = []
    for _ in range(2):
        with override(store=MemoryStore()):
            statuses.append([send()["status"] for _ in range(2)])
    statuses.append([send()["status"] for _ in range(2)])

    assert statuses == [["handled", "duplicate"]] * 3


def test_inner_one_counts(flask_app: Any) -> None:
    """Blocks may be nested; an error ends them like anything else."""
    with override(store=MemoryStore()):
        flask_app()
        with pytest.raises(ZeroDivisionError), override(store=MemoryStore()):
            assert 1 / len(flask_app()["status"].removeprefix("handled"))
        assert flask_app()["status"] == "duplicate"


def test_equal_stores(flask_app: Any) -> None:
    """The inner block ends its own store, not one that is equal to it."""

    class Equal(MemoryStore):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

        def __hash__(self) -> int:
            return 0

    with override(store=Equal()):
        flask_app()
        with override(store=Equal()):
            assert flask_app()["status"] == "handled"
        assert flask_app()["status"] == "duplicate"


@pytest.mark.parametrize("kind", [unittest.TestCase, TestCase], ids=["unittest", "django"])
def test_unittest(kind: type[unittest.TestCase], route: Any) -> None:
    """Two tests that send one body to a route, whose store is fixed, do not meet."""
    send = route(FRAPPE, secret=SECRET, store=MemoryStore())
    request = signed_request(FRAPPE, {"name": "SO-00001"}, SECRET)

    class Twice(kind):  # type: ignore[misc,valid-type]
        def setUp(self) -> None:
            stack = ExitStack()  # or self.enterContext(), from Python 3.11 on
            self.addCleanup(stack.close)
            self.store = stack.enter_context(fresh_store())

        def test_one(self) -> None:
            assert send(request)[1]["status"] == "handled"

        def test_other(self) -> None:
            assert send(request)[1]["status"] == "handled"
            assert self.store.claim("a", "1", 5) is State.NEW

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Twice).run(result)

    assert (result.testsRun, result.errors, result.failures) == (2, [], [])
    assert send(request)[1]["status"] == "handled"


def test_fresh_stores(flask_app: Any) -> None:
    """Each block has a store of its own, and the outer one is used again after the inner one."""
    with fresh_store() as outer:
        flask_app()
        with fresh_store() as inner:
            assert flask_app()["status"] == "handled"
        assert flask_app()["status"] == "duplicate"

    assert outer is not inner


def test_no_store() -> None:
    """A class or a path is refused here, not when the first request comes."""
    wrong: Any = MemoryStore
    with (
        pytest.raises(ConfigurationError, match="store= is the class MemoryStore"),
        override(store=wrong),
    ):
        pytest.fail("it was entered")


OTHERS = "Tz5Hn8Vb2Jk6Pd0Lw4Xc9Rf3"
THEN = 1_500_000_000
EARLIER = 1_400_000_000
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEVER_SIGNED = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"


def raise_at_once(_request: object) -> str:
    pytest.fail("the app's own function is called")


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        (FRAPPE, {}),
        (FRAPPE, {"secret": OTHERS}),
        (FRAPPE, {"secret": raise_at_once}),
        (Verifier(OTHERS), {}),
        (MultiVerifier(Verifier(OTHERS), Verifier(OTHERS + "x", scheme=GITHUB)), {}),
    ],
    ids=["setting", "fixed", "function", "verifier", "multi-verifier"],
)
def test_secret(
    route: Any, scheme: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another secret counts wherever the app has its own from, or if it has none."""
    monkeypatch.delenv("FRAPPE_WEBHOOK_SECRET", raising=False)
    send = route(scheme, **options)
    request = signed_request(FRAPPE, {"name": "SO-00001"}, SECRET)

    with override(secret=SECRET):
        assert send(request) == (200, {"status": "handled", "payload": {"name": "SO-00001"}})
        assert send(signed_request(FRAPPE, {}, OTHERS))[1]["reason"] == "signature-mismatch"
    with override(secret=[NEVER_SIGNED, SECRET]):
        assert send(request)[0] == 200


def test_clock(route: Any) -> None:
    """All timestamps are compared with the clock of the test: the signed ones of a scheme."""
    send = route(STRIPE, secret=SECRET, tolerance=60)
    request = signed_request(STRIPE, {}, SECRET, timestamp=THEN)

    assert send(request)[1]["reason"] == "timestamp-too-old"
    for seconds, status in ((-60, 200), (60, 200), (61, 401), (-61, 401)):
        with override(clock=partial(float, THEN + seconds)):
            assert send(request)[0] == status


def test_clock_and_time_in_the_body(route: Any) -> None:
    """And those of `timestamp_from=`."""
    send = route(FRAPPE, secret=SECRET, timestamp_from=lambda each: each.json()["at"])
    request = signed_request(FRAPPE, {"at": THEN}, SECRET)

    assert send(request)[1]["reason"] == "timestamp-too-old"
    with override(clock=lambda: THEN + 1):
        assert send(request)[0] == 200


def test_clock_of_a_verifier() -> None:
    """A verifier of the app keeps its own clock if only the secret is another one, and reversed."""
    verifier = Verifier(OTHERS, scheme=STRIPE, clock=lambda: THEN)
    send = ROUTES["flask"](verifier)
    old = signed_request(STRIPE, {}, SECRET, timestamp=THEN)
    older = signed_request(STRIPE, {}, OTHERS, timestamp=EARLIER)

    with override(secret=SECRET):
        assert send(old)[0] == 200
    with override(clock=lambda: EARLIER):
        assert send(older)[0] == 200
        with override(secret=SECRET):
            assert send(old)[1]["reason"] == "timestamp-in-future"
    with pytest.raises(VerificationError):
        verifier.verify(older.body, older.headers)


def test_secret_of_a_window() -> None:
    """The limits of a secret are compared with the clock, too."""
    send = ROUTES["flask"](FRAPPE, secret=[Secret(SECRET, not_after=THEN)])
    request = signed_request(FRAPPE, {}, SECRET)

    assert send(request)[0] == 401
    with override(clock=lambda: THEN - 1):
        assert send(request)[0] == 200


def test_function_of_the_request() -> None:
    """A function of the app is called as ever if only the clock is another one."""
    send = ROUTES["fastapi"](STRIPE, secret=lambda _request: SECRET)

    with override(clock=lambda: THEN):
        assert send(signed_request(STRIPE, {}, SECRET, timestamp=THEN))[0] == 200


def test_nested() -> None:
    """Of each of the three, the innermost one counts."""
    send = ROUTES["flask"](STRIPE, secret=OTHERS, store=MemoryStore())
    request = signed_request(STRIPE, {"id": "evt_1"}, SECRET, timestamp=THEN)

    with override(secret=SECRET, clock=lambda: 5), override(clock=lambda: THEN):
        for _ in range(2):
            with override(store=MemoryStore()):
                assert [send(request)[1]["status"] for _ in "12"] == ["handled", "duplicate"]
        assert send(request)[1]["status"] == "handled"
        with override(secret=OTHERS):
            assert send(request)[0] == 401


def test_every_thread() -> None:
    """A server in another thread uses it too."""
    send = ROUTES["flask"](FRAPPE, secret=OTHERS)
    with override(secret=SECRET), ThreadPoolExecutor(1) as pool:
        assert pool.submit(send, signed_request(FRAPPE, {}, SECRET)).result()[0] == 200


def test_nothing_given() -> None:
    """A block that replaces nothing is a mistake."""
    with pytest.raises(ConfigurationError, match="needs secret=, store= or clock="):
        override()


@pytest.mark.parametrize(
    ("secret", "message"),
    [("", "is empty"), ([SECRET, ""], "is empty"), ([], "is an empty list"), (5, "str")],
    ids=str,
)
def test_unusable_secret(secret: Any, message: str) -> None:
    """It is refused here; no frame shows the others."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        override(secret=secret)

    assert SECRET not in frames_of_ours(caught.value)


def test_secret_that_a_scheme_cannot_use(caplog: pytest.LogCaptureFixture) -> None:
    """A request is answered with 500; the message names the argument, no frame shows the secret."""
    send = ROUTES["flask"](providers.STANDARD_WEBHOOKS, secret=WHSEC)
    request = signed_request(providers.STANDARD_WEBHOOKS, {}, WHSEC)

    with override(secret="not base64!"):
        assert send(request)[0] == 500
    (_, error, _) = caplog.records[-1].exc_info or (None, None, None)
    assert "secret= of override() must be" in str(error)
    assert error is not None
    assert "not base64!" not in frames_of_ours(error)


def test_clock_that_is_none() -> None:
    """A number is no clock."""
    wrong: Any = 5.0
    with pytest.raises(ConfigurationError, match="clock= must be a function"):
        override(clock=wrong)


def test_signed_by_the_clock() -> None:
    """A request that is signed inside of the block is signed at its time."""
    send = ROUTES["flask"](STRIPE, secret=SECRET)
    clock = Clock(THEN)

    with override(clock=clock):
        request = signed_request(STRIPE, {}, SECRET)
        assert delivery({}, scheme=STRIPE).timestamp == THEN
        assert send(request)[0] == 200
        clock.advance(301)
        assert send(request)[0] == 401
        clock.now = THEN - 301
        assert send(request)[0] == 401
        assert repr(clock) == "Clock(1499999699)"


def test_clock_begins_now() -> None:
    """A clock that is not set stands at the present time."""
    before = time.time()
    clock = Clock()

    assert before <= clock() == clock() <= time.time()
