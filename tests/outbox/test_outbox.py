"""What an app calls of an outbox."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from frappe_hooksig import ConfigurationError, UnknownRecord, providers
from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase
from frappe_hooksig.observe import Capture, OutboxEvent, log
from frappe_hooksig.outbox import Outbox, SQLiteDatabase
from frappe_hooksig.sending import QUICK
from frappe_hooksig.testing import FakeReceiver
from tests.outbox.places import URL, Place
from tests.outbox.post import SECRET, Faulty, Post, attempt, room


@pytest.fixture
def post(sqlite: Place) -> Post:
    """Return an outbox in a SQLite file."""
    return Post(sqlite, keys=[Fernet.generate_key()])


# Arguments


def test_path(tmp_path: Path) -> None:
    """A path is enough."""
    for path in (tmp_path / "a.sqlite3", str(tmp_path / "b.sqlite3")):
        outbox = Outbox(path)
        assert outbox.migrate() > 0
        assert outbox.migrate() == 0
        assert repr(outbox) == f"<Outbox in <SQLiteDatabase '{path}'>>"
        outbox.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"database": 5}, "not a int"),
        ({"database": SQLiteDatabase}, "not a type"),
        ({"database": ":memory:"}, "an outbox needs a file"),
        ({"timeout": 0}, "timeout= must be a number from 0.1 to 60"),
        ({"timeout": True}, "timeout="),
        ({"max_payload": 0}, "max_payload= must be a whole number"),
        ({"retention": 59}, "retention= must be a number from 60"),
        ({"disable_after": 59}, "disable_after= must be a number from 60"),
        ({"lease": 0.4}, "lease= must be a number from 0.5 to 3600"),
        ({"installation": ""}, "installation= must be a name"),
        ({"installation": 5}, "installation= must be a name"),
        ({"observe": 5}, "observe= must be a function"),
        ({"observe": Capture("elsewhere")}, "observe= of an Outbox takes no Capture"),
        ({"observe_attempts": 5}, "observe= must be a function"),
        ({"guard": 5}, "guard= must be an AddressGuard"),
        ({"proxy": "ftp://user:sesame@proxy"}, "proxy="),
        ({"keys": ["no key"]}, "keys= must be Fernet keys"),
        ({"references": {"encrypted": str}}, "references= must be a dict"),
    ],
)
def test_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """What cannot be used is refused at once."""
    given = {"database": tmp_path / "outbox.sqlite3", **options}

    with pytest.raises(ConfigurationError, match=message) as caught:
        Outbox(**given)

    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "an endpoint needs secret= or secret_from="),
        ({"secret": SECRET, "secret_from": "env:A"}, "give secret= or secret_from=, not both"),
        ({"secret_from": 5}, "secret_from= must be a reference"),
        ({"secret_from": SECRET}, "a reference must begin with"),
        ({"secret": SECRET, "headers": 5}, "headers= must be a dict"),
        ({"secret": SECRET, "headers_from": 5}, "headers_from= must be a dict"),
        ({"secret": "no secret of this scheme!"}, "secret"),
        ({"secret": SECRET, "url": "ftp://example.com"}, "url= cannot be used"),
        ({"secret": SECRET, "rate": 0}, "rate= must be a number"),
    ],
)
def test_endpoint_refused(post: Post, options: dict[str, Any], message: str) -> None:
    """An endpoint that nothing could be sent to is refused."""
    with pytest.raises(ConfigurationError, match=message):
        post.outbox.add_endpoint(**{"url": URL, **options})

    assert post.outbox.endpoints() == []


def test_endpoint(post: Post) -> None:
    """An endpoint has what it was added with, and no secret."""
    endpoint = post.outbox.add_endpoint(
        "https://example.com/hook",
        secret=SECRET,
        event_types=["order.*", "invoice.paid"],
        tenant="acme",
        scheme=providers.STANDARD_WEBHOOKS,
        method="PUT",
        headers={"Authorization": "Bearer abc"},
        headers_from={"X-Token": "env:TOKEN"},
        order="key",
        hold=60,
        concurrency=3,
        rate=2,
        schedule=QUICK,
    )

    assert post.outbox.endpoint(endpoint.id) == endpoint
    assert (endpoint.url, endpoint.tenant, endpoint.method) == (
        "https://example.com/hook",
        "acme",
        "PUT",
    )
    assert endpoint.event_types == ("invoice.paid", "order.*")
    assert (endpoint.scheme, endpoint.secret_from) == ("standard-webhooks", ("encrypted",))
    assert endpoint.header_names == ("Authorization", "X-Token")
    assert (endpoint.order, endpoint.hold, endpoint.concurrency, endpoint.rate) == ("key", 60, 3, 2)
    assert (endpoint.schedule, endpoint.state) == (QUICK, "active")
    assert SECRET not in repr(endpoint)


def test_endpoints(post: Post) -> None:
    """Endpoints are listed in their order, also of one tenant."""
    first = post.endpoint(tenant="acme")
    second = post.endpoint()
    post.place.change("UPDATE hooksig_endpoints SET created_at = 0 WHERE tenant = 'acme'")

    assert [each.id for each in post.outbox.endpoints()] == [first, second]
    assert [each.id for each in post.outbox.endpoints(tenant="acme")] == [first]


def test_no_endpoint(post: Post) -> None:
    """An id that no endpoint has is refused."""
    outbox = post.outbox
    for call in (
        outbox.endpoint,
        outbox.change_endpoint,
        outbox.delete_endpoint,
        outbox.pause,
        outbox.resume,
    ):
        with pytest.raises(UnknownRecord, match="there is no endpoint 'ep_none'"):
            call("ep_none")


def test_changed(post: Post) -> None:
    """Only what is given is changed; secrets and headers are replaced."""
    endpoint = post.endpoint(headers={"X-A": "1"}, concurrency=2)

    changed = post.outbox.change_endpoint(
        endpoint, url=f"{URL}/new", concurrency=5, secret_from=["env:NEW", "env:OLD"]
    )
    headers = post.outbox.change_endpoint(endpoint, headers={"X-B": "2"})
    from_elsewhere = post.outbox.change_endpoint(endpoint, headers_from={"X-C": "env:C"})

    assert (changed.url, changed.concurrency) == (f"{URL}/new", 5)
    assert changed.secret_from == ("env:NEW", "env:OLD")
    assert [each.header_names for each in (changed, headers, from_elsewhere)] == [
        ("X-A",),
        ("X-B",),
        ("X-C",),
    ]
    with pytest.raises(UnknownRecord, match=f"there is no endpoint '{endpoint}'"):
        post.outbox.change_endpoint(endpoint, tenant="other", rate=2)


def test_headers(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Further headers are sent, whether they are stored or somewhere else."""
    monkeypatch.setenv("OUTBOX_TOKEN", "abc")
    with FakeReceiver() as receiver:
        post.endpoint(
            receiver.url, headers={"X-A": "1"}, headers_from={"X-Token": "env:OUTBOX_TOKEN"}
        )
        post.publish()
        post.send()

    (request,) = receiver.requests
    assert (request.header("X-A"), request.header("X-Token")) == ("1", "abc")


def test_deleted(post: Post) -> None:
    """Deleting an endpoint cancels what is on its way to it."""
    endpoint = post.endpoint()
    post.publish()
    post.route()

    post.outbox.delete_endpoint(endpoint)

    assert post.outbox.endpoints() == []
    assert post.states() == ["cancelled"]


def test_paused(post: Post) -> None:
    """An endpoint is paused and resumed once."""
    endpoint = post.endpoint()

    assert post.outbox.pause(endpoint, "they have asked for it")
    assert not post.outbox.pause(endpoint)
    paused = post.outbox.endpoint(endpoint)
    assert (paused.state, paused.reason, paused.message) == (
        "paused",
        "operator",
        "they have asked for it",
    )
    assert post.outbox.resume(endpoint)
    assert not post.outbox.resume(endpoint)
    assert post.outbox.endpoint(endpoint).state == "active"


# Publishing


def test_published(store: Place) -> None:
    """A message is there when the caller's transaction is committed, and not before."""
    outbox = Post(store).outbox
    with store.caller() as caller:
        lost = outbox.publish(caller.theirs, "order.paid", {"number": 1})
        caller.rollback()
        kept = outbox.publish(caller.theirs, "order.paid", {"number": 2}, key="k", tenant="acme")
        caller.commit()

    message = outbox.message(kept)
    assert (message.event_type, message.key) == ("order.paid", "k")
    assert outbox.payload(kept) == b'{"number": 2}'
    assert (message.tenant, message.is_routed) == ("acme", False)
    with pytest.raises(UnknownRecord, match="there is no message"):
        outbox.message(lost)


def test_publish_async(tmp_path: Path) -> None:
    """A message is published in the transaction of an async session."""
    path = tmp_path / "outbox.sqlite3"
    outbox = Outbox(SQLAlchemyDatabase(f"sqlite:///{path}"))
    outbox.migrate()

    async def publish(event_type: str) -> str:
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        async with AsyncSession(engine) as session:
            message = await outbox.publish_async(session, event_type, {}, idempotency_key="1")
            await session.commit()
        await engine.dispose()
        return message

    assert outbox.message(asyncio.run(publish("order.paid"))).idempotency_key == "1"
    with pytest.raises(ConfigurationError, match="takes an AsyncSession or an AsyncConnection"):
        asyncio.run(outbox.publish_async(object(), "order.paid", {}))
    with pytest.raises(ConfigurationError, match="an event type is"):
        asyncio.run(publish("no type"))
    outbox.close()


def test_no_tables(store: Place) -> None:
    """Without tables, everything says what to do."""
    outbox = store.bare_outbox()
    with store.caller() as caller:
        for call in (
            lambda: outbox.publish(caller.theirs, "order.paid", {}),
            outbox.numbers,
            outbox.is_confirmed,
            outbox.drain,
        ):
            with pytest.raises(ConfigurationError, match="run `frappe-hooksig outbox init`"):
                call()


def test_migrated_by_the_caller(store: Place) -> None:
    """The tables can be made in the caller's transaction."""
    outbox = store.bare_outbox()
    with store.caller() as caller:
        assert outbox.migrate(caller.theirs) > 0
        caller.commit()

    assert outbox.numbers().due == 0


def test_errors_of_the_database(sqlite: Place) -> None:
    """Errors of the database come as they are."""
    faulty = Faulty(sqlite.database())
    post = Post(sqlite, faulty)
    faulty.failing = {"count"}

    with pytest.raises(OSError, match="secret values"):
        post.outbox.numbers()


def test_error_in_the_callers_transaction(store: Place) -> None:
    """An error of the database while a message is published comes as it is."""
    outbox = Post(store).outbox
    store.change("ALTER TABLE hooksig_messages RENAME TO elsewhere")

    with store.caller() as caller, pytest.raises(outbox._database.errors):  # noqa: SLF001
        outbox.publish(caller.theirs, "order.paid", {})


# Installations


def test_confirmed(store: Place) -> None:
    """Tables belong to one installation, until another one confirms."""
    first, second = Post(store).outbox, Post(store, installation="staging").outbox
    assert (first.is_confirmed(), second.is_confirmed()) == (True, False)

    second.confirm()

    assert (first.is_confirmed(), second.is_confirmed()) == (False, True)


# What was sent


@pytest.fixture
def sent(post: Post) -> Post:
    """Return an outbox with a delivery that has arrived, a dead letter, and one that is due."""
    post.endpoint(tenant="acme")
    ids = post.publish(3, tenant="acme")
    post.route()
    first, second, _ = post.claims(room()).claimed
    post.settle([first], attempt())
    post.settle([second], attempt("unreachable"))
    post.place.change("UPDATE hooksig_deliveries SET state = 4 WHERE id = 2")
    post.place.change("UPDATE hooksig_deliveries SET state = 1, process = NULL WHERE id = 3")
    post.place.change("UPDATE hooksig_messages SET created_at = seq * 1000")
    assert len(ids) == 3
    return post


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, [3, 2, 1]),
        ({"states": "dead"}, [2]),
        ({"states": ["dead", "delivered"]}, [2, 1]),
        ({"since": 2, "until": 2.5}, [2]),
        ({"before": 3, "limit": 1}, [2]),
        ({"tenant": "other"}, []),
        ({"endpoint": "ep_none"}, []),
        ({"message": "msg_none"}, []),
    ],
)
def test_deliveries(sent: Post, options: dict[str, Any], ids: list[int]) -> None:
    """Deliveries are listed from the newest on, as they are asked for."""
    assert [each.id for each in sent.outbox.deliveries(**options)] == ids


def test_deliveries_refused(sent: Post) -> None:
    """A state and a limit must be such."""
    with pytest.raises(ConfigurationError, match="a state of a delivery is one of"):
        sent.outbox.deliveries(states="gone")
    with pytest.raises(ConfigurationError, match="limit= must be a whole number"):
        sent.outbox.deliveries(limit=0)


def test_attempts(sent: Post) -> None:
    """The attempts of a delivery are kept."""
    (record,) = sent.outbox.attempts(2)

    assert record.outcome == "unreachable"
    assert sent.outbox.attempts(3) == []


def test_sent_again(sent: Post) -> None:
    """Dead letters are due once more, with the same id."""
    endpoint = sent.outbox.endpoints()[0].id
    before = [each.sent_as for each in sent.outbox.deliveries()]
    counts: list[int] = []

    assert sent.outbox.send_again(endpoint=endpoint, progress=counts.append) == 1

    assert sent.states() == ["delivered", "due", "due"]
    assert [each.sent_as for each in sent.outbox.deliveries()] == before
    assert counts == [1, 1]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"delivery": 1}, 1),
        ({"delivery": 3}, 0),
        ({"since": 0, "states": ["dead", "delivered"]}, 2),
        ({"until": 1.5}, 0),
        ({"message": "msg_none"}, 0),
    ],
)
def test_which_are_sent_again(sent: Post, options: dict[str, Any], count: int) -> None:
    """It says which deliveries are meant; those that have not ended are sent anyway."""
    assert sent.outbox.send_again(**options) == count


def test_sent_as_new(sent: Post) -> None:
    """Sent as new, a delivery is another one, with another id."""
    assert sent.outbox.send_as_new(delivery=1) == 1

    newest, *_ = sent.outbox.deliveries()
    assert (newest.id, str(newest.state)) == (4, "due")
    assert newest.sent_as != newest.message_id


def test_chosen_by_nothing(sent: Post) -> None:
    """Nobody sends everything once more by accident."""
    for again in (sent.outbox.send_again, sent.outbox.send_as_new):
        with pytest.raises(ConfigurationError, match="say which deliveries"):
            again()
        with pytest.raises(ConfigurationError, match="others are sent anyway"):
            again(since=0, states="due")


def test_set_aside_and_sent_again(post: Post) -> None:
    """A dead letter that was set aside is sent again outside of its lane."""
    post.endpoint(order="key")
    (message, _) = post.publish(2, key="k")
    post.route()
    post.settle(post.claims(room()).claimed, attempt("refused"), hold_ms=0)
    post.place.change("UPDATE hooksig_deliveries SET state = 4 WHERE is_set_aside = 1")

    assert post.outbox.send_again(message=message) == 1

    assert post.states() == ["due", "due"]
    assert len(post.claims(room()).claimed) == 2


def test_numbers(sent: Post) -> None:
    """The numbers of an outbox are one call away."""
    sent.outbox.pause(sent.endpoint())

    numbers = sent.outbox.numbers()

    each, _ = numbers.endpoints
    assert (numbers.unrouted, numbers.due) == (0, 1)
    assert (each.due, each.dead, each.attempts, each.delivered) == (1, 1, 2, 1)


@pytest.mark.parametrize("options", [{"slots": 0}, {"budget": -1}, {"budget": 3601}])
def test_drain_refused(post: Post, options: dict[str, Any]) -> None:
    """drain() refuses what it cannot do."""
    with pytest.raises(ConfigurationError, match="must be a"):
        post.outbox.drain(**options)


# Observers


def test_observers(sqlite: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Each observer gets the events; `log` writes a line."""
    events: list[OutboxEvent] = []
    is_told = Event()

    def observe(event: OutboxEvent) -> None:
        events.append(event)
        is_told.set()

    post = Post(sqlite, observe=[log, observe])
    endpoint = post.endpoint(secret_from="test:none")
    post.publish()
    post.send()
    assert is_told.wait(30)

    assert [each.kind for each in events] == ["paused"]
    (record,) = [each for each in caplog.records if "outbox" in each.message]
    assert record.message.startswith(f"outbox paused, secret-missing (endpoint {endpoint}): ")
    assert record.levelname == "ERROR"
    assert vars(record)["webhook_endpoint_id"] == endpoint


def test_no_observer(sqlite: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Without observers, nothing is told."""
    post = Post(sqlite, observe=[])
    post.endpoint(secret_from="test:none")
    post.publish()
    post.send()

    assert post.outbox.endpoints()[0].state == "paused"
    assert caplog.records == []
