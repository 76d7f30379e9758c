"""A store that is replaced for one test."""

from __future__ import annotations

import unittest
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from flask import Flask

from frappe_hooksig import ConfigurationError, Delivery, sign_payload
from frappe_hooksig.integrations.fastapi import FrappeWebhook, WebhookRoute
from frappe_hooksig.integrations.flask import verify_frappe_webhook
from frappe_hooksig.replay import MemoryStore, SQLiteStore
from frappe_hooksig.testing import override

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


def test_unittest(flask_app: Any) -> None:
    """A TestCase enters it in setUp()."""

    class Twice(unittest.TestCase):
        def setUp(self) -> None:
            overriding = override(store=MemoryStore())
            overriding.__enter__()
            self.addCleanup(overriding.__exit__, None, None, None)

        def test_one(self) -> None:
            assert flask_app()["status"] == "handled"

        def test_other(self) -> None:
            assert flask_app()["status"] == "handled"

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Twice).run(result)

    assert (result.testsRun, result.errors, result.failures) == (2, [], [])


def test_no_store() -> None:
    """A class or a path is refused here, not when the first request comes."""
    wrong: Any = MemoryStore
    with (
        pytest.raises(ConfigurationError, match="store= is the class MemoryStore"),
        override(store=wrong),
    ):
        pytest.fail("it was entered")
