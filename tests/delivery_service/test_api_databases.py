"""The API on PostgreSQL, and while a database is away."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from frappe_hooksig.outbox import Worker
from frappe_hooksig.testing import FakeReceiver
from tests.databases import DatabaseServer
from tests.delivery_service.calling import problem_in, until
from tests.delivery_service.running import Service, empty_database, running


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, database: DatabaseServer
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    url = empty_database(database)
    with running(folder, database_url=url, max_endpoints="5") as service:
        yield service


def test_the_flow(service: Service) -> None:
    """PostgreSQL stores and finds all that SQLite does."""
    acme = service.caller()
    payload = {"text": "\0 é 😀", "number": 10**40, "list": [None, 1.5]}
    with FakeReceiver([500, 200]) as receiver, Worker(service.state.outbox):
        endpoint = acme.add(receiver.url, description="é 😀", headers={"X-A": "b"})
        path = f"/endpoints/{endpoint['id']}"
        message_id = acme.publish(payload, idempotency_key="one")
        failed = until(
            lambda: acme.must("GET", f"/deliveries?message_id={message_id}")["items"],
            lambda found: [each["status"] for each in found] == [500],
        )
        acme.must("POST", f"{path}/rotate-secret", {})
        acme.must("POST", f"{path}/test", status=202)
        receiver.wait_for(2, 30)

    assert receiver.requests[0].json() == payload
    assert acme.publish(payload, idempotency_key="one") == message_id
    assert acme.must("GET", f"/deliveries/{failed[0]['id']}")["history"][0]["status"] == 500
    assert acme.must("GET", "/endpoints?limit=1")["items"][0]["description"] == "é 😀"
    assert [each["event_type"] for each in acme.must("GET", "/messages")["items"]] == [
        "test",
        "invoice.paid",
    ]
    for name in ("endpoints", "messages", "deliveries"):
        found = acme.must("GET", f"/{name}?limit=1")
        assert found["next"] is None or acme.must("GET", f"/{name}?cursor={found['next']}")
    acme.must("DELETE", path, status=204)


def test_races(service: Service) -> None:
    """One idempotency key is one message, and a tenant has no more endpoints than it may."""
    greedy = service.caller("greedy")
    body = {"event_type": "a", "payload": 1, "idempotency_key": "race"}
    with ThreadPoolExecutor(8) as pool:
        ids = [*pool.map(lambda _: greedy.must("POST", "/messages", body, status=202), range(16))]
        added = [
            *pool.map(
                lambda _: greedy.call("POST", "/endpoints", {"url": "https://a.example/"}).status,
                range(16),
            )
        ]

    assert len({each["id"] for each in ids}) == 1
    assert {*added} == {201, 409}
    assert len(greedy.must("GET", "/endpoints")["items"]) == added.count(201) <= 5


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/me", None),
        ("GET", "/endpoints", None),
        ("POST", "/messages", {"event_type": "a", "payload": 1}),
        ("POST", "/endpoints", {"url": "https://a.example/"}),
    ],
)
def test_while_it_is_away(
    method: str, path: str, body: Any, service: Service, database: DatabaseServer
) -> None:
    """Without its database, the service answers 503, and goes on when the database is back."""
    acme = service.caller("patient")
    database.stop()
    try:
        answer = acme.call(method, path, body)
    finally:
        database.start()

    assert problem_in(answer) == (503, "unavailable")
    assert answer.headers["retry-after"] == "5"
    assert acme.call(method, path, body).status < 300
    assert "postgres" not in answer.body.decode()


@pytest.mark.long  # it waits as long as the service does
def test_while_sqlite_is_locked(tmp_path: Path) -> None:
    """While somebody else writes to SQLite for too long, the service answers 503."""
    with running(tmp_path) as service:
        acme = service.caller()
        endpoint = acme.add("https://a.example/")
        with closing(sqlite3.connect(tmp_path / "service.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            with ThreadPoolExecutor(2) as pool:
                published = pool.submit(
                    acme.problem, "POST", "/messages", {"event_type": "a", "payload": 1}
                )
                path = f"/endpoints/{endpoint['id']}"
                changed = pool.submit(acme.problem, "PATCH", path, {"description": "b"})
                assert acme.must("GET", "/me")
                assert published.result() == changed.result() == (503, "unavailable")
            other.rollback()
        acme.publish({})
