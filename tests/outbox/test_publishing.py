"""Publishing: one row in the caller's transaction."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import frappe_hooksig
from frappe_hooksig import ConfigurationError
from frappe_hooksig.exceptions import IdempotencyConflict, PayloadError
from frappe_hooksig.outbox import Outbox
from frappe_hooksig.outbox._database import time_of
from tests.outbox.places import URL, Place, sqlite_place

PACKAGE = str(Path(frappe_hooksig.__file__).parent)
TABLES = ("endpoints", "messages", "lanes", "deliveries", "attempts", "processes")

# Keys that some database or driver could change, cut, or compare with another one.
ODD_KEYS = [
    'it\'s "quoted" `here`',
    "100 % of %s, %(name)s and %%",
    ":name ::cast {now} {",
    "back\\slash?",
    "a  b",
    "ﬁ",
    "é",
    "e\u0301",
    "E",
    "ß",
    "ss",
    "İ",
    "日本語",
    "🦄",
    "👩\u200d👩\u200d👧",
    "\U0010ffff",
    "a\u200b",
    "\ufeffa",
    "a\u0080",
    "0",
    "x" * 255,
    "🦄" * 255,
]
# Keys that no two databases would treat alike.
BAD_KEYS = [
    "",
    " ",
    " a",
    "a ",
    "a\n",
    "\ta",
    "a\u3000",
    "a\u00a0",
    "a\x00b",
    "a\x1fb",
    "a\x7fb",
    "a\rb",
    "a\ud800",
    "x" * 256,
    7,
    b"a",
    ["a"],
]
GOOD_TYPES = ["a", "invoice.paid", "Invoice.Paid", "a-b_c.d:e/f", "0.1", "a" * 128]
BAD_TYPES = [
    *("", " ", "invoice paid", "invoice.", ".paid", "a..b", "*", "invoice.*", "a\n", "é", "🦄"),
    *("%s", "a;b", "a" * 129, None, 7, b"a"),
]


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a place for what is refused before it reaches the database: it has no tables."""
    with closing(sqlite_place(tmp_path_factory.mktemp("outbox"))) as place:
        yield place


def shown(value: object) -> str:
    """Return a short name of a value, in ASCII."""
    return ascii(value)[:20]


def counts(place: Place) -> dict[str, int]:
    """Return how many rows each table has."""
    return {table: place.rows(f"SELECT COUNT(*) FROM hooksig_{table}")[0][0] for table in TABLES}


def test_publish_inserts_one_row(place: Place) -> None:
    """Nothing else is written in the caller's transaction, however many endpoints there are."""
    outbox = place.outbox()
    for _ in range(3):
        outbox.add_endpoint(URL, secret_from="env:A", order="key")
    before = counts(place)

    place.publish(outbox, "invoice.paid", {"total": 7}, key="a", idempotency_key="b")

    assert counts(place) == {**before, "messages": 1}


def test_rolled_back_means_never_published(place: Place) -> None:
    """What the caller rolls back is gone, and a worker finds nothing."""
    outbox = place.outbox()
    outbox.add_endpoint(URL, secret_from="env:A")

    with place.caller() as caller:
        message = outbox.publish(caller.theirs, "invoice.paid", {"total": 7})
        caller.rollback()
        caller.commit()
    place.route()

    assert counts(place) == dict.fromkeys(TABLES, 0) | {"endpoints": 1}
    with pytest.raises(ConfigurationError, match=f"there is no message '{message}'"):
        outbox.message(message)


def test_nobody_sees_it_before_the_commit(place: Place) -> None:
    """It belongs to the caller's transaction, with what the caller itself has changed."""
    outbox = place.outbox()

    with place.caller() as caller:
        caller.execute("UPDATE hooksig_installation SET rung_at = 7")
        outbox.publish(caller.theirs, "invoice.paid", {})
        with place.caller() as other:
            seen = "SELECT (SELECT COUNT(*) FROM hooksig_messages), rung_at "
            seen += "FROM hooksig_installation"
            before: Any = other.execute(seen)
            assert [tuple(row) for row in before] == [(0, 0)]
        caller.commit()

    assert place.rows(seen) == [(1, 7)]


def test_what_a_message_has(place: Place) -> None:
    """All that was published is there, with the time of the database."""
    outbox = place.outbox()
    before = place.run(time_of)

    message = outbox.message(
        place.publish(
            outbox, "invoice.paid", {"total": 7}, key="k", idempotency_key="i", tenant="acme"
        )
    )
    payload = outbox.payload(message.id)

    assert message.id.startswith("msg_")
    assert (message.event_type, message.tenant) == ("invoice.paid", "acme")
    assert (message.key, message.idempotency_key) == ("k", "i")
    assert (payload, message.length) == (b'{"total": 7}', 12)
    assert not message.is_routed
    assert before <= message.created_at * 1000 <= place.run(time_of)


def test_what_a_message_need_not_have(place: Place) -> None:
    """Keys and tenants are for those who need them."""
    outbox = place.outbox()

    message = outbox.message(place.publish(outbox, "invoice.paid", None))

    assert (message.key, message.idempotency_key, message.tenant) == (None, None, "")
    assert outbox.payload(message.id) == b"null"


# Payloads


PAYLOADS: list[tuple[Any, bytes, int]] = [
    (bytes(range(256)), bytes(range(256)), 0),
    (b"", b"", 0),
    (bytearray(b"\x00\xff"), b"\x00\xff", 0),
    (memoryview(b"'\\%s:a"), b"'\\%s:a", 0),
    ("🦄 naïve %s :a ' \\", "🦄 naïve %s :a ' \\".encode(), 0),
    ({"a": ["🦄", None, True, 1.5]}, b'{"a": ["\\ud83e\\udd84", null, true, 1.5]}', 1),
    ([], b"[]", 1),
    (0, b"0", 1),
    (False, b"false", 1),
]


def test_bytes_are_kept(place: Place) -> None:
    """Each byte comes back, and whether it is JSON."""
    outbox = place.outbox()

    with place.caller() as caller:
        ids = [outbox.publish(caller.theirs, "a", payload) for payload, _, _ in PAYLOADS]
        caller.commit()

    assert [outbox.payload(each) for each in ids] == [body for _, body, _ in PAYLOADS]
    found = place.rows("SELECT is_json, size FROM hooksig_messages ORDER BY seq")
    assert found == [(is_json, len(body)) for _, body, is_json in PAYLOADS]


def test_a_large_payload(place: Place) -> None:
    """A payload of one MiB is no problem, and is the limit unless it is set."""
    outbox = place.outbox()
    payload = bytes(range(256)) * 4096

    message = place.publish(outbox, "invoice.paid", payload)

    assert outbox.payload(message) == payload
    assert outbox.message(message).length == 1_048_576
    with pytest.raises(PayloadError, match=r"has 1048577 bytes, and the outbox takes 1048576"):
        place.publish(outbox, "invoice.paid", payload + b"1")


def test_max_payload(sqlite: Place) -> None:
    """The limit counts bytes, not characters, and names its argument."""
    outbox = sqlite.outbox(max_payload=4)
    sqlite.publish(outbox, "invoice.paid", "🦄")

    with pytest.raises(PayloadError, match=r"the payload has 5 bytes.*max_payload="):
        sqlite.publish(outbox, "invoice.paid", "🦄!")

    assert counts(sqlite)["messages"] == 1


@pytest.mark.parametrize("limit", [0, -1, 25 * 1024 * 1024 + 1, 1.5, None, True], ids=repr)
def test_no_max_payload(sqlite: Place, limit: Any) -> None:
    """The limit is a number of bytes that receivers can be expected to take."""
    with pytest.raises(ConfigurationError, match="max_payload= must be a whole number"):
        sqlite.bare_outbox(max_payload=limit)


@pytest.mark.parametrize("payload", [1j, {1, 2}, "a\ud800", {("a",): 1}], ids=shown)
def test_no_payload(refusing: Place, payload: Any) -> None:
    """What cannot be sent is refused when it is published."""
    outbox = refusing.bare_outbox()

    with pytest.raises(PayloadError):
        refusing.publish(outbox, "invoice.paid", payload)


# Keys, event types and tenants


def test_odd_keys(place: Place) -> None:
    """Each is another key, is found again as it is, and comes back as it is."""
    outbox = place.outbox()

    def publish_all() -> list[str]:
        with place.caller() as caller:
            ids = [
                outbox.publish(caller.theirs, "a", {}, key=key, idempotency_key=key)
                for key in ODD_KEYS
            ]
            caller.commit()
        return ids

    first = publish_all()

    assert len(set(first)) == len(ODD_KEYS)
    assert publish_all() == first
    found = place.rows("SELECT lane, idempotency_key FROM hooksig_messages ORDER BY seq")
    assert found == [(key, key) for key in ODD_KEYS]


def test_odd_tenants(place: Place) -> None:
    """Each is another tenant, and comes back as it is."""
    outbox = place.outbox()
    tenants = ["", *(key[:64] for key in ODD_KEYS)]

    with place.caller() as caller:
        for tenant in tenants:
            outbox.publish(caller.theirs, "a", {}, idempotency_key="same", tenant=tenant)
        caller.commit()

    assert place.rows("SELECT tenant FROM hooksig_messages ORDER BY seq") == [
        (tenant,) for tenant in tenants
    ]


@pytest.mark.parametrize("key", BAD_KEYS, ids=shown)
@pytest.mark.parametrize("name", ["key", "idempotency_key"])
def test_bad_keys(refusing: Place, name: str, key: Any) -> None:
    """What databases would compare differently, or cannot store, is refused before."""
    outbox = refusing.bare_outbox()

    with pytest.raises(ConfigurationError, match=f"^{name}= must be a str of 1 to 255 characters"):
        refusing.publish(outbox, "invoice.paid", {}, **{name: key})


@pytest.mark.parametrize("tenant", [*BAD_KEYS[1:], None, "x" * 65], ids=shown)
def test_bad_tenants(refusing: Place, tenant: Any) -> None:
    """A tenant is empty, or such a text."""
    outbox = refusing.bare_outbox()

    with pytest.raises(ConfigurationError, match=r"^tenant= must be a str of up to 64 characters"):
        refusing.publish(outbox, "invoice.paid", {}, tenant=tenant)


def test_event_types(place: Place) -> None:
    """Each is another type, and comes back as it is."""
    outbox = place.outbox()

    with place.caller() as caller:
        for event_type in GOOD_TYPES:
            outbox.publish(caller.theirs, event_type, {})
        caller.commit()

    assert place.rows("SELECT event_type FROM hooksig_messages ORDER BY seq") == [
        (event_type,) for event_type in GOOD_TYPES
    ]


@pytest.mark.parametrize("event_type", BAD_TYPES, ids=shown)
def test_no_event_type(refusing: Place, event_type: Any) -> None:
    """What a pattern of an endpoint could not name is refused."""
    outbox = refusing.bare_outbox()

    with pytest.raises(ConfigurationError, match=r"such as invoice\.paid"):
        refusing.publish(outbox, event_type, {})


# Idempotency


def test_the_same_event_twice(place: Place) -> None:
    """The second one inserts nothing and returns the id of the first: in one transaction or two."""
    outbox = place.outbox()
    event: Any = ("invoice.paid", {"total": 7})

    with place.caller() as caller:
        ids = [outbox.publish(caller.theirs, *event, idempotency_key="a") for _ in range(2)]
        caller.commit()
    ids.append(place.publish(outbox, *event, idempotency_key="a"))

    assert len(set(ids)) == 1
    assert counts(place)["messages"] == 1


def test_the_same_event_in_another_lane(place: Place) -> None:
    """With another key=, it would be in another order, so it is another event."""
    outbox = place.outbox()
    place.publish(outbox, "invoice.paid", {}, idempotency_key="a", key="one")

    assert place.publish(outbox, "invoice.paid", {}, idempotency_key="a", key="one")
    with pytest.raises(IdempotencyConflict, match="with another payload, event type or key"):
        place.publish(outbox, "invoice.paid", {}, idempotency_key="a", key="two")


@pytest.mark.parametrize(
    ("event_type", "payload"),
    [
        ("invoice.paid", {"total": 8}),
        ("invoice.sent", {"total": 7}),
        ("Invoice.Paid", {"total": 7}),
    ],
    ids=["payload", "event type", "case"],
)
def test_another_event_with_the_same_key(place: Place, event_type: str, payload: Any) -> None:
    """It is an error of the caller. The caller's transaction can go on."""
    outbox = place.outbox()
    place.publish(outbox, "invoice.paid", {"total": 7}, idempotency_key="a")

    with place.caller() as caller:
        with pytest.raises(IdempotencyConflict, match="idempotency_key= was used before"):
            outbox.publish(caller.theirs, event_type, payload, idempotency_key="a")
        outbox.publish(caller.theirs, event_type, payload, idempotency_key="b")
        caller.commit()

    assert counts(place)["messages"] == 2


def test_bytes_are_compared(place: Place) -> None:
    """The same bytes are the same event, whatever they were made of."""
    outbox = place.outbox()

    first = place.publish(outbox, "invoice.paid", {"total": 7}, idempotency_key="a")

    assert place.publish(outbox, "invoice.paid", b'{"total": 7}', idempotency_key="a") == first


def test_keys_of_tenants(place: Place) -> None:
    """No tenant can see or take the key of another one."""
    outbox = place.outbox()

    ids = {
        place.publish(outbox, "invoice.paid", {}, idempotency_key="a", tenant=tenant)
        for tenant in ("", "acme", "Acme")
    }

    assert len(ids) == 3


def test_a_key_that_was_rolled_back(place: Place) -> None:
    """It was never used."""
    outbox = place.outbox()
    with place.caller() as caller:
        outbox.publish(caller.theirs, "invoice.paid", {"total": 7}, idempotency_key="a")
        caller.rollback()

    place.publish(outbox, "invoice.sent", {"total": 8}, idempotency_key="a")

    assert counts(place)["messages"] == 1


class Racer(threading.Thread):
    """A transaction that publishes with the same key as another one, which is open still."""

    def __init__(self, place: Place, outbox: Outbox, payload: Any) -> None:
        super().__init__()
        self.place, self.outbox, self.payload = place, outbox, payload
        self.begun = threading.Event()
        self.result: object = None

    def run(self) -> None:
        """Publish, and commit."""
        with self.place.caller() as caller:
            # In a transaction that has looked at the tables before the other one commits.
            caller.execute("SELECT COUNT(*) FROM hooksig_messages")
            self.begun.set()
            try:
                self.result = self.outbox.publish(
                    caller.theirs, "invoice.paid", self.payload, idempotency_key="a"
                )
                caller.commit()
            except IdempotencyConflict as error:
                self.result = error


@pytest.mark.parametrize(
    ("second", "end", "same", "kind"),
    [
        ({"total": 7}, "commit", 1, str),
        ({"total": 8}, "commit", 0, IdempotencyConflict),
        ({"total": 8}, "rollback", 0, str),
    ],
    ids=["same event", "other event", "first is rolled back"],
)
def test_two_transactions_with_one_key(
    server_place: Place, second: Any, end: str, same: int, kind: type
) -> None:
    """The second one waits for the first, and then does what it would have done after it."""
    outbox = server_place.outbox()

    with server_place.caller() as caller:
        first = outbox.publish(caller.theirs, "invoice.paid", {"total": 7}, idempotency_key="a")
        racer = Racer(server_place, outbox, second)
        racer.start()
        assert racer.begun.wait(30)
        racer.join(0.2)
        assert racer.is_alive()
        getattr(caller, end)()
    racer.join(30)

    assert isinstance(racer.result, kind)
    assert [racer.result].count(first) == same
    assert counts(server_place)["messages"] == 1


# Errors


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (ConfigurationError, {"event_type": "no type"}),
        (ConfigurationError, {"key": " "}),
        (ConfigurationError, {"tenant": 7}),
        (PayloadError, {"payload": {("Qv3r0mZ8",): "Qv3r0mZ8"}}),
        (PayloadError, {"payload": "Qv3r0mZ8" * 9}),
        (IdempotencyConflict, {"idempotency_key": "used"}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_no_payload_in_an_error(sqlite: Place, error: type[Exception], arguments: Any) -> None:
    """Neither the error nor a frame of ours shows the payload, not even with `publish_async()`."""
    outbox = sqlite.outbox(max_payload=70)
    sqlite.publish(outbox, "invoice.paid", {}, idempotency_key="used")
    given = {"event_type": "invoice.paid", "payload": {"token": "Qv3r0mZ8"}} | arguments

    for publish in (outbox.publish, publish_async(outbox)):
        with (
            closing(sqlite3.connect(sqlite.address)) as connection,
            pytest.raises(error) as caught,
        ):
            publish(connection, **given)
        stack = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
        ours = [str(each.locals) for each in stack if each.filename.startswith(PACKAGE)]
        assert ours
        assert "Qv3r0mZ8" not in f"{caught.value!r} {caught.value.__context__!r} {ours}"


class Theirs:
    """What has a connection, and the method of an async session."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    async def run_sync(self, call: Any) -> Any:
        """Call a function with the connection."""
        return call(self.connection)


def publish_async(outbox: Outbox) -> Any:
    """Return a function that publishes as an async app does."""

    def publish(connection: sqlite3.Connection, **given: Any) -> str:
        return asyncio.run(outbox.publish_async(Theirs(connection), **given))

    return publish
