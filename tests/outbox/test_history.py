"""Looking at messages, deliveries and attempts, and sending them once more."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest

from frappe_hooksig import ConfigurationError, UnknownRecord
from frappe_hooksig.outbox import (
    AttemptRecord,
    DeliveryRecord,
    DeliveryState,
    EndpointNumbers,
    Message,
    Outbox,
)
from frappe_hooksig.outbox._database import Connection, Values, time_of
from frappe_hooksig.outbox._endpoints import list_endpoints, remove_endpoint
from frappe_hooksig.outbox._history import (
    AT_ONCE,
    Selection,
    chosen_deliveries,
    count_numbers,
    list_attempts,
    list_deliveries,
    list_messages,
    states_of,
)
from tests.outbox.places import URL, Place

DEAD = "UPDATE hooksig_deliveries SET state = 4, attempts = 3, tries = 3, lost = 2, ended_at = 5, "
DEAD += "status = 500, reason = 'exhausted', problem = 'it failed'"
ATTEMPT = """\
INSERT INTO hooksig_attempts (
    delivery, number, endpoint, started_at, took_ms, outcome, status, reason, problem, answer,
    address
) VALUES (
    :delivery, :number, :endpoint, :started_at, :took_ms, :outcome, :status, :reason, :problem,
    :answer, :address
)"""


@pytest.fixture
def place(store: Place) -> Place:
    """Return each kind of database in turn."""
    return store


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outbox]:
    """Return an outbox for what is refused before it reaches the database."""
    outbox = Outbox(tmp_path_factory.mktemp("outbox") / "a.sqlite3")
    outbox.migrate()
    yield outbox
    outbox.close()


def named(value: object) -> str:
    """Return a short name of a value, in ASCII."""
    return ascii(value)[:30]


def add(outbox: Outbox, **options: Any) -> str:
    """Add an endpoint, and return its id."""
    return outbox.add_endpoint(URL, secret_from="env:A", **options).id


def publish(
    place: Place, outbox: Outbox, count: int, event_type: str = "invoice.paid", **options: Any
) -> list[str]:
    """Publish several messages and route them."""
    with place.caller() as caller:
        ids = [outbox.publish(caller.theirs, event_type, {}, **options) for _ in range(count)]
        caller.commit()
    while place.route():
        pass
    return ids


def add_attempt(place: Place, **columns: Any) -> None:
    """Insert an attempt."""
    usual = {"number": 1, "took_ms": 20, "outcome": "delivered", "status": 200, "reason": ""}
    usual |= {"problem": "", "answer": b"", "address": None}
    place.change(ATTEMPT, {**usual, **columns})


# Messages


def test_no_such_message(place: Place) -> None:
    """Whatever is asked for, it is the same error."""
    outbox = place.outbox()
    odd: list[Any] = ["msg_1", "", "%s", "🦄", "a\x00b", "a\ud800", "x" * 300, None, 7]

    for message in odd:
        for use in (
            outbox.message,
            outbox.payload,
            lambda each: outbox.messages(before=each or ""),
        ):
            with pytest.raises(UnknownRecord, match=r"^there is no message") as caught:
                use(message)
            assert (caught.value.kind, caught.value.id or None) == ("message", message or None)


def test_messages_of_another_tenant(place: Place) -> None:
    """They are as unknown as what does not exist."""
    outbox = place.outbox()
    (message,) = publish(place, outbox, 1, tenant="acme")

    for tenant in ("", "Acme", "other"):
        for use in (
            lambda **owner: outbox.message(message, **owner),
            lambda **owner: outbox.payload(message, **owner),
            lambda **owner: outbox.messages(before=message, **owner),
        ):
            with pytest.raises(UnknownRecord) as caught:
                use(tenant=tenant)
            assert str(caught.value) == f"there is no message '{message}'"
        assert outbox.messages(tenant=tenant) == []
    assert outbox.message(message, tenant="acme").id == message
    assert outbox.payload(message, tenant="acme") == b"{}"
    assert outbox.messages(before=message, tenant="acme") == []
    with pytest.raises(ConfigurationError, match="tenant= must be a str"):
        outbox.payload(message, tenant=cast("Any", 7))


def test_pages_of_messages(place: Place) -> None:
    """The newest come first, also those that no endpoint takes, and new ones move no page."""
    outbox = place.outbox()
    ids = publish(place, outbox, 7)

    pages: list[list[Message]] = [outbox.messages(limit=3)]
    publish(place, outbox, 2)
    pages.append(outbox.messages(limit=3, before=pages[-1][-1].id))
    pages.append(outbox.messages(limit=3, before=pages[-1][-1].id))
    pages.append(outbox.messages(limit=3, before=pages[-1][-1].id))

    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert [each.id for page in pages for each in page] == ids[::-1]
    assert pages[0][0] == outbox.message(ids[-1])


def test_filters_of_messages(place: Place) -> None:
    """Each filter narrows the list, and several do together."""
    outbox = place.outbox()
    (first,) = publish(place, outbox, 1)
    (second,) = publish(place, outbox, 1, "invoice.sent", tenant="acme")
    (third,) = publish(place, outbox, 1, "invoices", tenant="acme")
    (fourth,) = publish(place, outbox, 1, "Invoice.paid", tenant="acme")
    for number, message in enumerate((first, second, third, fourth)):
        moment = {"at": (number + 1) * 1000, "id": message}
        place.change("UPDATE hooksig_messages SET created_at = :at WHERE id = :id", moment)

    def found(**filters: Any) -> list[str]:
        return [each.id for each in outbox.messages(**filters)]

    assert found() == found(event_types="*") == [fourth, third, second, first]
    assert found(tenant="acme") == [fourth, third, second]
    assert found(tenant="") == [first]
    assert found(event_types="invoice.paid") == [first]
    assert found(event_types=["invoice.*"]) == [second, first]
    assert found(event_types=("invoice.*", "invoices"), tenant="acme") == [third, second]
    assert found(event_types=["invoice.*", "*"]) == [fourth, third, second, first]
    assert found(since=3) == [fourth, third]
    assert found(until=2, tenant="acme") == [second]
    assert found(since=2, until=3, before=third) == [second]


BAD_FILTERS_OF_MESSAGES: list[tuple[dict[str, Any], str]] = [
    ({"limit": 0}, "limit= must be a whole number from 1 to 1000"),
    ({"tenant": 7}, "tenant= must be a str"),
    ({"event_types": []}, "event_types= must be an event type such as invoice.paid, or"),
    ({"event_types": 7}, "event_types= must be an event type such as invoice.paid, or"),
    ({"event_types": [str(each) for each in range(101)]}, "or a list of up to 100 of them"),
    ({"event_types": "a b"}, "an event type is up to 128 letters"),
    ({"event_types": ["a.*.*"]}, "an event type is up to 128 letters"),
    ({"since": -1}, "since= must be a number from 0"),
    ({"until": "2026-01-01"}, "until= must be a number from 0"),
]


@pytest.mark.parametrize(("filters", "message"), BAD_FILTERS_OF_MESSAGES, ids=named)
def test_filters_of_messages_that_cannot_be_used(
    outbox: Outbox, filters: dict[str, Any], message: str
) -> None:
    """Each is refused by its name, and not by the database."""
    with pytest.raises(ConfigurationError, match=message):
        outbox.messages(**filters)


# Deliveries


def test_what_a_delivery_has(place: Place) -> None:
    """All columns are where they belong, with times in seconds."""
    outbox = place.outbox()
    endpoint = add(outbox, order="key", tenant="acme")
    (message,) = publish(place, outbox, 1, key="a", tenant="acme")
    columns = "due_at = 1500, created_at = 1250, lane = NULL, is_set_aside = 1"
    place.change(f"{DEAD}, {columns}")
    ((number,),) = place.rows("SELECT id FROM hooksig_deliveries")

    assert outbox.deliveries() == [outbox.delivery(number)]
    assert outbox.deliveries() == [
        DeliveryRecord(
            id=number,
            message_id=message,
            sent_as=message,
            event_type="invoice.paid",
            endpoint_id=endpoint,
            tenant="acme",
            key="a",
            state=DeliveryState.DEAD,
            due_at=1.5,
            attempts=3,
            lost=2,
            is_set_aside=True,
            created_at=1.25,
            ended_at=0.005,
            status=500,
            reason="exhausted",
            message="it failed",
        )
    ]


def test_pages(place: Place) -> None:
    """The newest come first; each page begins where the one before it ended."""
    outbox = place.outbox()
    add(outbox)
    ids = publish(place, outbox, 7)

    pages: list[list[DeliveryRecord]] = [outbox.deliveries(limit=3)]
    pages.append(outbox.deliveries(limit=3, before=pages[-1][-1].id))
    pages.append(outbox.deliveries(limit=3, before=pages[-1][-1].id))
    pages.append(outbox.deliveries(limit=3, before=pages[-1][-1].id))

    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert [each.message_id for page in pages for each in page] == ids[::-1]


def test_no_such_delivery(place: Place) -> None:
    """Whatever is asked for, it is the same error; so it is for another tenant's."""
    outbox = place.outbox()
    add(outbox, tenant="acme")
    publish(place, outbox, 1, tenant="acme")
    ((number,),) = place.rows("SELECT id FROM hooksig_deliveries")
    odd: list[Any] = [number + 1, 0, -1, 2**63, 2**99, True, "1", None, 1.0]

    for delivery in odd:
        with pytest.raises(UnknownRecord, match=r"^there is no delivery") as caught:
            outbox.delivery(delivery)
        assert (caught.value.kind, caught.value.id) == ("delivery", delivery)
    for tenant in ("", "Acme", "other"):
        with pytest.raises(UnknownRecord) as caught:
            outbox.delivery(number, tenant=tenant)
        assert str(caught.value) == f"there is no delivery {number}"
    assert outbox.delivery(number, tenant="acme").tenant == "acme"
    with pytest.raises(ConfigurationError, match="tenant= must be a str"):
        outbox.delivery(number, tenant=cast("Any", 7))


def test_a_page_is_not_moved_by_new_deliveries(place: Place) -> None:
    """What comes meanwhile is not on a later page, and shifts nothing."""
    outbox = place.outbox()
    add(outbox)
    ids = publish(place, outbox, 4)
    first = outbox.deliveries(limit=2)
    publish(place, outbox, 3)

    second = outbox.deliveries(limit=2, before=first[-1].id)

    assert [each.message_id for each in first + second] == ids[::-1]


def test_filters(place: Place) -> None:
    """Each filter narrows the list, and several do together."""
    outbox = place.outbox()
    one, two = add(outbox), add(outbox)
    other = add(outbox, tenant="acme")
    first, second = publish(place, outbox, 2)
    (third,) = publish(place, outbox, 1, "order.paid", tenant="acme")
    for number, message in enumerate((first, second, third)):
        moment = {"at": (number + 1) * 1000, "id": message}
        place.change("UPDATE hooksig_messages SET created_at = :at WHERE id = :id", moment)
    place.change(f"{DEAD} WHERE endpoint = :id", {"id": two})

    def found(**filters: Any) -> set[tuple[str, str]]:
        return {(each.message_id, each.endpoint_id) for each in outbox.deliveries(**filters)}

    assert found(message=second) == {(second, one), (second, two)}
    assert found(endpoint=one) == {(first, one), (second, one)}
    assert found(tenant="acme") == {(third, other)}
    assert found(tenant="") == {(each, to) for each in (first, second) for to in (one, two)}
    assert found(states="dead") == {(first, two), (second, two)}
    assert found(states=["due", "claimed"], endpoint=one) == {(first, one), (second, one)}
    assert found(since=2) == {(second, one), (second, two), (third, other)}
    assert found(until=1) == {(first, one), (first, two)}
    assert found(since=1.5, until=2.5, endpoint=two) == {(second, two)}
    assert found(endpoint="ep_1") == found(message="msg_1") == set()
    assert found(event_types="order.paid") == found(event_types="order.*") == {(third, other)}
    assert found(event_types="*", tenant="acme") == {(third, other)}
    assert found(event_types="paid") == set()


BAD_FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"limit": 0}, "limit= must be a whole number from 1 to 1000"),
    ({"limit": 1001}, "limit= must be a whole number from 1 to 1000"),
    ({"limit": None}, "limit= must be a whole number from 1 to 1000"),
    ({"before": -1}, "before= must be a whole number from 0"),
    ({"before": 2**63}, "before= must be a whole number from 0"),
    ({"before": "7"}, "before= must be a whole number from 0"),
    ({"states": "ended"}, "a state of a delivery is one of waiting, due"),
    ({"states": ["dead", 4]}, "a state of a delivery is one of waiting, due"),
    ({"states": 4}, "a state of a delivery is one of waiting, due"),
    ({"states": []}, "a state of a delivery is one of waiting, due"),
    ({"message": 7}, "message= must be a str"),
    ({"message": "a\x00"}, "message= must be a str"),
    ({"endpoint": "a\ud800"}, "endpoint= must be a str"),
    ({"endpoint": ""}, "endpoint= must be a str"),
    ({"tenant": 7}, "tenant= must be a str"),
    ({"event_types": 7}, "event_types= must be an event type"),
    ({"event_types": "a b"}, "an event type is up to 128 letters"),
    ({"since": -1}, "since= must be a number from 0"),
    ({"since": math.nan}, "since= must be a number from 0"),
    ({"since": math.inf}, "since= must be a number from 0"),
    ({"until": "2026-01-01"}, "until= must be a number from 0"),
    ({"until": 1e12}, "until= must be a number from 0"),
]


@pytest.mark.parametrize(("filters", "message"), BAD_FILTERS, ids=named)
def test_filters_that_cannot_be_used(outbox: Outbox, filters: dict[str, Any], message: str) -> None:
    """Each is refused by its name, and not by the database."""
    with pytest.raises(ConfigurationError, match=message):
        outbox.deliveries(**filters)


# Attempts


def test_what_an_attempt_has(place: Place) -> None:
    """All columns are where they belong, in order of their numbers."""
    outbox = place.outbox()
    delivery = {"delivery": 7, "endpoint": "ep_1"}
    failed = {"outcome": "unreachable", "status": None, "reason": "timeout", "problem": "too slow"}
    answer = b"\x00\xff%s '"
    add_attempt(place, **delivery, number=2, started_at=4000, answer=answer, address="::1")
    add_attempt(place, **delivery, number=1, started_at=1500, took_ms=2250, **failed)
    add_attempt(place, delivery=8, endpoint="ep_1", started_at=1)

    assert outbox.attempts(7) == [
        AttemptRecord(
            number=1,
            started_at=1.5,
            seconds=2.25,
            outcome="unreachable",
            status=None,
            reason="timeout",
            message="too slow",
            answer=b"",
            address=None,
        ),
        AttemptRecord(
            number=2,
            started_at=4.0,
            seconds=0.02,
            outcome="delivered",
            status=200,
            reason="",
            message="",
            answer=answer,
            address="::1",
        ),
    ]
    assert outbox.attempts(9) == []
    assert "xff" not in repr(outbox.attempts(7))


def test_attempts_of_another_tenant(place: Place) -> None:
    """There are none, as of a delivery that does not exist."""
    outbox = place.outbox()
    endpoint = add(outbox, tenant="acme")
    publish(place, outbox, 1, tenant="acme")
    ((number,),) = place.rows("SELECT id FROM hooksig_deliveries")
    add_attempt(place, delivery=number, endpoint=endpoint, started_at=1)

    assert len(outbox.attempts(number)) == len(outbox.attempts(number, tenant="acme")) == 1
    assert outbox.attempts(number, tenant="") == outbox.attempts(number, tenant="other") == []
    with pytest.raises(ConfigurationError, match="tenant= must be a str"):
        outbox.attempts(number, tenant=cast("Any", 7))


@pytest.mark.parametrize("delivery", [-1, "7", None, 2**63, 1.0], ids=named)
def test_attempts_of_no_delivery(outbox: Outbox, delivery: Any) -> None:
    """A delivery has a number."""
    with pytest.raises(ConfigurationError, match="delivery= must be a whole number"):
        outbox.attempts(delivery)


# Sending again


def ended(place: Place, outbox: Outbox) -> dict[str, int]:
    """Return one delivery in each state, by its name."""
    add(outbox)
    publish(place, outbox, len(DeliveryState))
    numbers = [each.id for each in outbox.deliveries()]
    for state, number in zip(DeliveryState, numbers, strict=True):
        values = {"state": int(state), "id": number}
        place.change(f"{DEAD} WHERE id = :id", {"id": number})
        place.change("UPDATE hooksig_deliveries SET state = :state WHERE id = :id", values)
    return {str(state): number for state, number in zip(DeliveryState, numbers, strict=True)}


def test_again(place: Place) -> None:
    """It is due now, with its id, with all attempts of the schedule before it, in no lane."""
    outbox = place.outbox()
    add(outbox, order="key")
    (message,) = publish(place, outbox, 1, key="a")
    place.change(f"{DEAD}, due_at = 1, hold_until = 7, is_set_aside = 1")
    before = place.run(time_of)
    (dead,) = outbox.deliveries()
    assert outbox.deliveries(states="due") == []

    assert outbox.send_again(delivery=dead.id) == 1

    (again,) = outbox.deliveries(states="due")
    assert (again.id, again.sent_as, again.attempts, again.lost) == (dead.id, message, 3, 0)
    assert again.due_at * 1000 >= before
    assert (again.ended_at, again.reason, again.message) == (None, "", "")
    assert not again.is_set_aside
    columns = "SELECT tries, lane, hold_until FROM hooksig_deliveries"
    assert place.rows(columns) == [(0, None, None)]
    assert outbox.send_again(delivery=dead.id) == 0


def test_as_new(place: Place) -> None:
    """It is another delivery of the same message, with an id that no receiver has seen."""
    outbox = place.outbox()
    endpoint = add(outbox, order="key")
    (message,) = publish(place, outbox, 1, key="a")
    place.change(DEAD)
    (dead,) = outbox.deliveries()

    assert outbox.send_as_new(delivery=dead.id) == 1

    new, old = outbox.deliveries()
    assert old == dead
    assert (new.message_id, new.endpoint_id, new.key) == (message, endpoint, "a")
    assert new.sent_as.startswith("msg_")
    assert new.sent_as != message
    assert (new.state, new.attempts, new.lost) == (DeliveryState.DUE, 0, 0)
    assert place.rows("SELECT lane FROM hooksig_deliveries WHERE state = 1") == [(None,)]
    assert outbox.send_again(message=new.sent_as) == 0
    place.change(DEAD)
    assert outbox.send_again(message=new.sent_as) == 1
    assert outbox.deliveries(states="due", message=new.sent_as)[0].id == new.id


@pytest.mark.parametrize("send", [Outbox.send_again, Outbox.send_as_new])
def test_only_what_has_ended(place: Place, send: Callable[..., int]) -> None:
    """What is sent anyway is left alone, even if it is named."""
    outbox = place.outbox()
    numbers = ended(place, outbox)

    sent = {state: send(outbox, delivery=number) for state, number in numbers.items()}

    final = {str(state): int(state.is_final) for state in DeliveryState}
    assert sent == final


@pytest.mark.parametrize("send", [Outbox.send_again, Outbox.send_as_new])
def test_chosen_by_state(place: Place, send: Callable[..., int]) -> None:
    """Of an endpoint, dead letters are meant, unless others are asked for."""
    outbox = place.outbox()
    ended(place, outbox)
    (endpoint,) = (each.id for each in outbox.endpoints())

    assert send(outbox, endpoint=endpoint, states=["delivered", "cancelled"]) == 2
    assert send(outbox, endpoint=endpoint) == 1
    assert send(outbox, endpoint="ep_1") == 0


@pytest.mark.parametrize("send", [Outbox.send_again, Outbox.send_as_new])
def test_chosen_by_message(place: Place, send: Callable[..., int]) -> None:
    """All deliveries of a message are meant, whatever became of them."""
    outbox = place.outbox()
    for _ in range(3):
        add(outbox)
    message, _ = publish(place, outbox, 2)
    place.change(DEAD)
    place.change("UPDATE hooksig_deliveries SET state = 3 WHERE id = 1")

    assert send(outbox, message=message) == 3
    assert send(outbox, message="msg_1") == 0


@pytest.mark.parametrize("send", [Outbox.send_again, Outbox.send_as_new])
def test_chosen_by_time(place: Place, send: Callable[..., int]) -> None:
    """What was published in a span is meant, its ends included."""
    outbox = place.outbox()
    add(outbox)
    for number, message in enumerate(publish(place, outbox, 5)):
        moment = {"at": 1000 * number, "id": message}
        place.change("UPDATE hooksig_messages SET created_at = :at WHERE id = :id", moment)
    place.change(DEAD)

    assert send(outbox, since=1, until=2) == 2
    assert send(outbox, until=0.5) == 1
    assert send(outbox, since=3) == 2


@pytest.mark.parametrize("send", [Outbox.send_again, Outbox.send_as_new])
def test_chosen_by_tenant(place: Place, send: Callable[..., int]) -> None:
    """What is another tenant's is not there, whatever else is said."""
    outbox = place.outbox()
    endpoint = add(outbox, tenant="acme")
    (message,) = publish(place, outbox, 1, tenant="acme")
    place.change(DEAD)
    ((number,),) = place.rows("SELECT id FROM hooksig_deliveries")

    for tenant in ("", "other"):
        assert send(outbox, delivery=number, tenant=tenant) == 0
        assert send(outbox, message=message, tenant=tenant) == 0
        assert send(outbox, endpoint=endpoint, tenant=tenant) == 0
        assert send(outbox, since=0, tenant=tenant) == 0
    assert send(outbox, since=0, tenant="acme") == 1
    assert {each.tenant for each in outbox.deliveries()} == {"acme"}


@pytest.mark.parametrize("send", [Outbox.send_again, Outbox.send_as_new])
def test_many(place: Place, send: Callable[..., int]) -> None:
    """It takes several transactions, and says how far it is. What it makes is not sent again."""
    outbox = place.outbox()
    endpoint = add(outbox)
    publish(place, outbox, AT_ONCE + 3)
    place.change(DEAD)
    steps: list[int] = []

    assert send(outbox, endpoint=endpoint, progress=steps.append) == AT_ONCE + 3

    assert steps == [AT_ONCE, AT_ONCE + 3, AT_ONCE + 3]
    due = place.rows(
        "SELECT COUNT(*), COUNT(DISTINCT sent_as) FROM hooksig_deliveries WHERE state = 1"
    )
    assert due == [(AT_ONCE + 3, AT_ONCE + 3)]


@pytest.mark.parametrize("send", [Outbox.send_again, Outbox.send_as_new])
def test_of_a_deleted_endpoint(place: Place, send: Callable[..., int]) -> None:
    """There is nowhere to send it."""
    outbox = place.outbox()
    endpoint = add(outbox)
    (message,) = publish(place, outbox, 1)
    outbox.delete_endpoint(endpoint)

    assert send(outbox, message=message) == 0


@pytest.mark.parametrize("send", [Outbox.send_again, Outbox.send_as_new])
def test_while_an_endpoint_is_deleted(server_place: Place, send: Callable[..., int]) -> None:
    """It waits for whoever deletes the endpoint, so no delivery stays that nobody ever ends."""
    outbox = server_place.outbox()
    endpoint = add(outbox)
    (message,) = publish(server_place, outbox, 1)
    server_place.change(DEAD)
    counts: list[int] = []
    sending = threading.Thread(target=lambda: counts.append(send(outbox, message=message)))

    def delete_slowly(connection: Connection) -> None:
        remove_endpoint(connection, endpoint)
        sending.start()
        sending.join(0.2)
        assert sending.is_alive()

    server_place.run(delete_slowly)
    sending.join(30)

    assert counts == [0]
    assert [each.state for each in outbox.deliveries()] == [DeliveryState.DEAD]


BAD_CHOICES: list[tuple[dict[str, Any], str]] = [
    ({}, "say which deliveries: delivery=, message=, endpoint=, since= or until="),
    ({"states": "dead"}, "say which deliveries"),
    ({"tenant": "acme"}, "say which deliveries"),
    ({"since": 0, "tenant": 7}, "tenant= must be a str"),
    ({"endpoint": "ep_1", "states": "due"}, "states= must be among delivered, dead, cancelled"),
    ({"endpoint": "ep_1", "states": ["dead", "claimed"]}, "states= must be among delivered"),
    ({"endpoint": "ep_1", "states": "ended"}, "a state of a delivery is one of"),
    ({"endpoint": "ep_1", "states": []}, "a state of a delivery is one of"),
    ({"endpoint": 7}, "endpoint= must be a str"),
    ({"delivery": "7"}, "delivery= must be a whole number"),
    ({"delivery": True}, "delivery= must be a whole number"),
    ({"message": "a\x00"}, "message= must be a str"),
    ({"since": "yesterday"}, "since= must be a number"),
    ({"until": math.nan}, "until= must be a number"),
]


@pytest.mark.parametrize("send", [Outbox.send_again, Outbox.send_as_new])
@pytest.mark.parametrize(("choice", "message"), BAD_CHOICES, ids=named)
def test_choices_that_cannot_be_made(
    outbox: Outbox, send: Callable[..., int], choice: dict[str, Any], message: str
) -> None:
    """Nothing is sent by mistake: neither all, nor what nobody meant."""
    with pytest.raises(ConfigurationError, match=message):
        send(outbox, **choice)


def test_workers_are_rung(sqlite: Place) -> None:
    """Those of this process look at once."""
    outbox = sqlite.outbox()
    add(outbox)
    publish(sqlite, outbox, 1)
    rings: list[bool] = []
    outbox.ring = lambda: rings.append(True)  # type: ignore[method-assign]

    outbox.send_again(endpoint="ep_1")
    outbox.send_as_new(endpoint="ep_1")

    assert rings == [True, True]


# What is read


class Explained:
    """A connection to SQLite that notes how it finds the rows of each query."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect
        self.steps: list[str] = []

    def rows(self, statement: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        """Run a query, and note its plan."""
        plan = self._connection.rows(f"EXPLAIN QUERY PLAN {statement}", values or {})
        self.steps += [step for *_, step in plan if step != "SCAN CONSTANT ROW"]
        return self._connection.rows(statement, values or {})

    def change(self, statement: str, values: Values | None = None) -> int:
        """Run a statement that writes."""
        return self._connection.change(statement, values or {})

    def change_each(self, statement: str, several: Sequence[Values]) -> None:
        """Run a statement that writes, several times."""
        self._connection.change_each(statement, several)


def page(**filters: Any) -> Callable[[Connection], object]:
    """Return what lists deliveries."""
    selection = Selection(**filters)
    return lambda it: list_deliveries(it, selection, before=9, limit=5)


def page_of_messages(**filters: Any) -> Callable[[Connection], object]:
    """Return what lists messages of a tenant."""
    usual = {"event_types": (), "since": None, "until": None, "before": None, "limit": 5}
    return lambda it: list_messages(it, tenant="acme", **{**usual, **filters})


LISTS: dict[str, Callable[[Connection], object]] = {
    "messages": page_of_messages(),
    "messages by type": page_of_messages(event_types=("a", "b.*")),
    "messages by time": page_of_messages(since=1, until=2),
    "deliveries of a tenant": page(tenant="acme"),
    "deliveries of a tenant by type": page(tenant="acme", event_types=("a",)),
    "deliveries for an endpoint": page(endpoint="ep_1"),
    "deliveries by state": page(endpoint="ep_1", tenant="acme", states=states_of("dead")),
    "deliveries of a message": page(message="msg_1"),
    "deliveries to send": lambda it: chosen_deliveries(it, Selection(endpoint="ep_1"), 0, 9),
    "delivery": lambda it: list_deliveries(it, Selection(delivery=1), before=None, limit=1),
    "attempts": lambda it: list_attempts(it, 1, "acme"),
    "numbers": lambda it: count_numbers(it, "acme"),
    "endpoints": lambda it: list_endpoints(it, "acme", None, 5),
}


@pytest.mark.parametrize("use", LISTS.values(), ids=LISTS)
def test_no_table_is_read_as_a_whole(sqlite: Place, use: Callable[[Connection], object]) -> None:
    """What is asked for is found by an index, and in its order."""
    add(sqlite.outbox(), tenant="acme")

    def explain(connection: Connection) -> list[str]:
        explained = Explained(connection)
        use(explained)
        return explained.steps

    steps = sqlite.run(explain)
    assert steps
    assert [step for step in steps if step.startswith(("SCAN", "USE TEMP"))] == []


# Numbers


def test_numbers_of_nothing(place: Place) -> None:
    """An outbox without endpoints has nothing due."""
    numbers = place.outbox().numbers()

    assert (numbers.unrouted, numbers.due, numbers.oldest_due) == (0, 0, 0.0)
    assert numbers.endpoints == ()


def test_numbers_of_an_endpoint_without_attempts(place: Place) -> None:
    """Its times are unknown, not zero."""
    outbox = place.outbox()
    endpoint = add(outbox)

    assert outbox.numbers().endpoints == (
        EndpointNumbers(
            endpoint_id=endpoint,
            due=0,
            oldest_due=0.0,
            scheduled=0,
            dead=0,
            attempts=0,
            delivered=0,
            mean_seconds=None,
            longest_seconds=None,
        ),
    )


def test_numbers(place: Place) -> None:
    """What is due, what comes later, what is dead, and how the last hour was, by endpoint."""
    outbox = place.outbox()
    busy, paused = add(outbox), add(outbox)
    with place.caller() as caller:
        outbox.publish(caller.theirs, "invoice.paid", {})
        caller.commit()
    outbox.pause(paused)
    publish(place, outbox, 6)
    place.publish(outbox, "invoice.paid", {})
    arrange(place, busy, paused)

    numbers = outbox.numbers()

    assert (numbers.unrouted, numbers.due) == (1, 2)
    assert 60 <= numbers.oldest_due < 120
    by_id = {each.endpoint_id: each for each in numbers.endpoints}
    first, second = by_id[busy], by_id[paused]
    assert (first.due, first.scheduled, first.dead) == (2, 2, 1)
    assert first.oldest_due == numbers.oldest_due
    assert (first.attempts, first.delivered) == (3, 1)
    assert first.mean_seconds == pytest.approx(0.2)
    assert first.longest_seconds == pytest.approx(0.3)
    assert (second.due, second.attempts, second.mean_seconds) == (7, 0, None)
    assert second.oldest_due >= 3600


def test_numbers_of_some(place: Place) -> None:
    """Those of a tenant, or of one endpoint, have nothing of the others."""
    outbox = place.outbox()
    first, second, other = add(outbox, tenant="acme"), add(outbox, tenant="acme"), add(outbox)
    publish(place, outbox, 2, tenant="acme")
    publish(place, outbox, 3)
    place.publish(outbox, "invoice.paid", {}, tenant="acme")
    now = place.run(time_of)
    for number, endpoint in enumerate((first, other)):
        add_attempt(place, delivery=number, endpoint=endpoint, started_at=now, took_ms=20)

    def found(**options: Any) -> tuple[int, int, dict[str, tuple[int, int]]]:
        numbers = outbox.numbers(**options)
        each = {one.endpoint_id: (one.due, one.attempts) for one in numbers.endpoints}
        return numbers.unrouted, numbers.due, each

    assert found() == (1, 7, {first: (2, 1), second: (2, 0), other: (3, 1)})
    assert found(tenant="acme") == (1, 4, {first: (2, 1), second: (2, 0)})
    assert found(tenant="") == (0, 3, {other: (3, 1)})
    assert found(tenant="nobody") == (0, 0, {})
    assert found(endpoint=first) == (1, 2, {first: (2, 1)})
    assert found(endpoint=other) == found(endpoint=other, tenant="") == (0, 3, {other: (3, 1)})
    with pytest.raises(UnknownRecord, match="there is no endpoint 'ep_1'"):
        outbox.numbers(endpoint="ep_1")
    with pytest.raises(ConfigurationError, match="tenant= must be a str"):
        outbox.numbers(tenant=cast("Any", 7))


def test_numbers_of_many_endpoints(sqlite: Place) -> None:
    """Their attempts are looked up in several lists, and none is left out."""
    outbox = sqlite.outbox()
    for _ in range(AT_ONCE + 1):
        add(outbox)
    sqlite.change(
        """\
INSERT INTO hooksig_attempts
SELECT 1, ROW_NUMBER() OVER (ORDER BY id), id, {now}, 20, 'delivered', 200, '', '', '', NULL
FROM hooksig_endpoints"""
    )

    numbers = outbox.numbers()

    assert [each.delivered for each in numbers.endpoints] == [1] * (AT_ONCE + 1)


def arrange(place: Place, busy: str, paused: str) -> None:
    """Give the deliveries of an endpoint all states, and let it have some attempts."""

    def work(connection: Connection) -> None:
        now = time_of(connection)
        ids = connection.rows(
            "SELECT id FROM hooksig_deliveries WHERE endpoint = :id ORDER BY id", {"id": busy}
        )
        minute, hour = now - 60_000, now - 3_600_000
        rows = [(1, minute), (1, now), (1, now + 60_000), (0, now), (4, now), (3, now), (2, now)]
        update = "UPDATE hooksig_deliveries SET state = :state, due_at = :due WHERE id = :id"
        for (delivery,), (state, due) in zip(ids, rows, strict=True):
            connection.change(update, {"state": state, "due": due, "id": delivery})
        late = "UPDATE hooksig_deliveries SET due_at = :due WHERE endpoint = :id"
        connection.change(late, {"due": hour, "id": paused})
        for number, (outcome, took, started) in enumerate(
            [
                ("delivered", 100, now),
                ("refused", 200, minute),
                ("unreachable", 300, minute),
                ("delivered", 9000, hour - 1000),
            ]
        ):
            values = {"delivery": ids[0][0], "number": number, "endpoint": busy}
            values |= {"started_at": started, "took_ms": took, "outcome": outcome, "status": None}
            values |= {"reason": "", "problem": "", "answer": b"", "address": None}
            connection.change(ATTEMPT, values)

    place.run(work)


def test_due_after_the_clock_was_put_back(place: Place) -> None:
    """What is due later than now is not due for a negative time."""
    outbox = place.outbox()
    add(outbox)
    publish(place, outbox, 1)
    place.change("UPDATE hooksig_deliveries SET due_at = due_at + 3600000")

    numbers = outbox.numbers()

    assert (numbers.due, numbers.oldest_due) == (0, 0.0)
    assert numbers.endpoints[0].scheduled == 1
