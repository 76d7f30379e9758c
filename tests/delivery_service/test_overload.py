"""The API when its database is locked or away, or its clients are slow: 503 at worst, never 500."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

import pytest

from frappe_hooksig.outbox import Worker
from frappe_hooksig.testing import FakeReceiver
from tests.delivery_service.running import TENANT, Service, in_postgresql, in_sqlite, running
from tests.loopback import Answer, send_to
from tests.outbox.running import wait_until
from tests.selection import at_full_size

AT_ONCE: Final = 60  # requests: more than a process has threads for them
FEW: Final = 10  # requests: fewer than a process has connections to the database
SOON: Final = 3.0  # seconds
PUBLISHED: Final = {200, 201, 202}

# What holds every write of the API back, until its transaction ends.
LOCKS: Final = {
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "LOCK TABLE hooksig_messages IN ACCESS EXCLUSIVE MODE",
}


def publish(service: Service, key: str) -> Answer:
    """Publish a message with an idempotency key, which begins with its event type."""
    event_type = key.partition("-")[0]
    message = {"event_type": event_type, "payload": {}, "idempotency_key": key}
    body = json.dumps(message).encode()
    return send_to(service.port, "/v1/messages", body, service.headers, timeout=60)


def ask(service: Service, path: str) -> tuple[int, float]:
    """Return the status of an answer, and how long it took."""
    began = time.monotonic()
    answer = send_to(service.port, path, method="GET", timeout=60)
    return answer.status, time.monotonic() - began


def count(service: Service, key: str) -> int:
    """Return how many messages there are with keys that begin like this."""
    query = "SELECT COUNT(*) FROM hooksig_messages WHERE idempotency_key LIKE :key"
    found: int = service.rows(query, key=f"{key}%")[0][0]
    return found


@contextmanager
def locked(service: Service) -> Iterator[None]:
    """Let another transaction hold the lock for messages, until the block ends."""
    engine = service.state.engine
    with engine.connect() as connection:
        connection.exec_driver_sql(LOCKS[engine.dialect.name])
        yield
        connection.rollback()


@pytest.fixture(
    scope="module",
    params=[in_sqlite, at_full_size(in_postgresql)],
    ids=["SQLite", "PostgreSQL"],
)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service in each database."""
    with running(tmp_path_factory.mktemp("service"), request.param) as service:
        yield service


def test_all_threads_wait(service: Service) -> None:
    """While all threads wait for a lock, /health answers; then all requests are answered."""
    keys = [f"waits-{number}" for number in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        with locked(service):
            publishing = pool.map(partial(publish, service), keys)
            time.sleep(1)
            status, seconds = ask(service, "/health")
        answers = [*publishing]

    assert (status, seconds < SOON) == (200, True)
    assert {answer.status for answer in answers} <= PUBLISHED
    assert count(service, "waits-") == AT_ONCE


@pytest.mark.long
@pytest.mark.stress
def test_locked_for_long(service: Service) -> None:
    """A lock that is held for long is 503 with Retry-After; a worker goes on, nothing is lost."""
    outbox = service.state.outbox
    keys = [f"late-{number}" for number in range(FEW)]
    with FakeReceiver([200]) as receiver, Worker(outbox), ThreadPoolExecutor(AT_ONCE) as pool:
        endpoint = service.endpoint(TENANT, receiver.url, event_types=["late"])
        early = publish(service, "late-not")
        with locked(service):
            refused = [*pool.map(partial(publish, service), keys)]
        again = [*pool.map(partial(publish, service), keys)]
        receiver.wait_for(FEW + 1, 60)
        wait_until(service.has_nothing_left)
        outbox.delete_endpoint(endpoint)

    assert early.status in PUBLISHED
    assert {(each.status, "retry-after" in each.headers) for each in refused} == {(503, True)}
    assert {each.json()["code"] for each in refused} == {"unavailable"}
    assert {each.status for each in again} <= PUBLISHED
    published = {early.json()["id"], *(each.json()["id"] for each in again)}
    arrived = Counter(each.header("webhook-id") for each in receiver.requests)
    assert arrived == Counter(published)


def test_slow_bodies(service: Service) -> None:
    """Clients that send their bodies byte by byte stop no others."""
    head = (
        "POST /v1/messages HTTP/1.1\r\n"
        "Host: 127.0.0.1\r\n"
        f"Authorization: {service.headers['Authorization']}\r\n"
        "Content-Type: application/json\r\n"
        "Content-Length: 1000\r\n\r\n"
    )
    with ExitStack() as stack:
        address = ("127.0.0.1", service.port)
        slow = [stack.enter_context(socket.create_connection(address)) for _ in range(AT_ONCE)]
        for number, part in enumerate((head, "{", " ")):
            for each in slow:
                each.sendall(part.encode())
            began = time.monotonic()
            answer = publish(service, f"beside-{number}")
            assert answer.status in PUBLISHED, answer
            assert time.monotonic() - began < SOON
            assert ask(service, "/health")[0] == 200


@pytest.mark.parametrize(
    "service", [at_full_size(in_postgresql)], ids=["PostgreSQL"], indirect=True
)
def test_database_restarted(service: Service) -> None:
    """While the database is away it is 503, and by itself it is well again afterwards."""
    assert service.database
    with ThreadPoolExecutor(AT_ONCE) as pool:
        keys = [f"before-{each}" for each in range(AT_ONCE)]
        before = [*pool.map(partial(publish, service), keys)]
        service.database.stop()
        keys = [f"away-{each}" for each in range(AT_ONCE)]
        away = [*pool.map(partial(publish, service), keys)]
        well, ready = ask(service, "/health")[0], ask(service, "/ready")[0]
        service.database.start()
        again = [*pool.map(partial(publish, service), keys)]
    wait_until(lambda: ask(service, "/ready")[0] == 200)

    assert {each.status for each in before} <= PUBLISHED
    assert {(each.status, "retry-after" in each.headers) for each in away} == {(503, True)}
    assert (well, ready) == (200, 503)
    assert {each.status for each in again} <= {*PUBLISHED, 503}
    assert publish(service, "afterwards").status in PUBLISHED
    assert count(service, "afterwards") == 1
