"""Routing: a message becomes a delivery for each endpoint that takes it, once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from frappe_hooksig.outbox import DeliveryState, Outbox
from frappe_hooksig.outbox._database import Connection, time_of
from frappe_hooksig.outbox._routing import AT_ONCE, route
from tests.outbox.places import URL, Place


@pytest.fixture
def place(store: Place) -> Place:
    """Return each kind of database in turn."""
    return store


def add(outbox: Outbox, *event_types: str, **options: Any) -> str:
    """Add an endpoint, and return its id."""
    chosen = {"event_types": event_types or ("*",), "secret_from": "env:A", **options}
    return outbox.add_endpoint(URL, **chosen).id


def test_each_endpoint_that_takes_it(place: Place) -> None:
    """One delivery each, due at once, with the id of the message."""
    outbox = place.outbox()
    takers = {add(outbox), add(outbox, "invoice.*"), add(outbox, "invoice.paid", "a")}
    add(outbox, "invoice.sent")
    message = place.publish(outbox, "invoice.paid", "12345")
    before = place.run(time_of)

    assert place.route() == 1

    deliveries = outbox.deliveries()
    assert {each.endpoint_id for each in deliveries} == takers
    assert {each.sent_as for each in deliveries} == {message}
    assert {each.state for each in deliveries} == {DeliveryState.DUE}
    assert all(each.due_at * 1000 >= before for each in deliveries)
    assert place.rows("SELECT DISTINCT size FROM hooksig_deliveries") == [(5,)]
    assert outbox.message(message).is_routed


def test_once(place: Place) -> None:
    """A message that was routed is not routed again, not even for endpoints that came later."""
    outbox = place.outbox()
    add(outbox)
    place.publish(outbox, "invoice.paid", {})
    place.route()
    add(outbox)

    assert place.route() == 0

    assert len(outbox.deliveries()) == 1


def test_nobody_takes_it(place: Place) -> None:
    """A message without an endpoint is done."""
    outbox = place.outbox()
    message = place.publish(outbox, "invoice.paid", {})

    assert place.route() == 1

    assert outbox.deliveries() == []
    assert outbox.message(message).is_routed


def test_tenants(place: Place) -> None:
    """A message is for endpoints of its tenant alone, to the letter."""
    outbox = place.outbox()
    tenants = ["", "acme", "Acme", "açme", "acme🦄"]
    endpoints = {tenant: add(outbox, tenant=tenant) for tenant in tenants}

    messages = {
        tenant: place.publish(outbox, "invoice.paid", {}, tenant=tenant) for tenant in tenants
    }
    place.route()

    found = {(each.tenant, each.message_id, each.endpoint_id) for each in outbox.deliveries()}
    assert found == {(tenant, messages[tenant], endpoints[tenant]) for tenant in tenants}


@pytest.mark.parametrize("stop", ["pause", "disable"])
def test_stopped_endpoints_collect(place: Place, stop: str) -> None:
    """What is published while an endpoint is stopped waits for it."""
    outbox = place.outbox()
    endpoint = add(outbox)
    outbox.pause(endpoint)
    state = {"pause": "paused", "disable": "disabled"}[stop]
    place.change("UPDATE hooksig_endpoints SET state = :state", {"state": state})

    place.publish(outbox, "invoice.paid", {})
    place.route()

    assert [each.state for each in outbox.deliveries(endpoint=endpoint)] == [DeliveryState.DUE]


def test_many(place: Place) -> None:
    """So many messages go in one transaction, in the order in which they were inserted."""
    outbox = place.outbox()
    add(outbox)
    with place.caller() as caller:
        ids = [outbox.publish(caller.theirs, "a", {}) for _ in range(AT_ONCE + 1)]
        caller.commit()

    assert [place.route() for _ in range(3)] == [AT_ONCE, 1, 0]

    assert [each.message_id for each in outbox.deliveries(limit=1000)] == ids[::-1]


def test_many_endpoints(sqlite: Place) -> None:
    """A message for many endpoints holds no long transaction: the rest goes in the next one."""
    outbox = sqlite.outbox()
    for _ in range(21):
        add(outbox)
    with sqlite.caller() as caller:
        for _ in range(AT_ONCE):
            outbox.publish(caller.theirs, "a", {})
        caller.commit()

    assert [sqlite.route() for _ in range(3)] == [96, 4, 0]

    assert sqlite.rows("SELECT COUNT(*) FROM hooksig_deliveries") == [(21 * AT_ONCE,)]


def test_late_commits_of_lower_numbers(server_place: Place) -> None:
    """A message that got its number first and is committed last is sent, too."""
    outbox = server_place.outbox()
    add(outbox)

    with server_place.caller() as late:
        early_number = outbox.publish(late.theirs, "invoice.paid", {})
        server_place.publish(outbox, "invoice.sent", {})
        assert server_place.route() == 1
        late.commit()
    assert server_place.route() == 1

    assert outbox.deliveries()[0].message_id == early_number
    assert len(outbox.deliveries()) == 2


def test_one_process_at_a_time(server_place: Place) -> None:
    """Who comes second leaves the work to the first, and does not wait."""
    outbox = server_place.outbox()
    add(outbox)
    server_place.publish(outbox, "invoice.paid", {})

    def route_in_both(connection: Connection) -> tuple[int, int]:
        first = route(connection, time_of(connection))
        return first, server_place.route()

    assert server_place.run(route_in_both) == (1, 0)
    assert len(outbox.deliveries()) == 1


def test_all_was_routed_meanwhile(server_place: Place) -> None:
    """Who sees work and gets the lock when it is done finds nothing."""
    outbox = server_place.outbox()
    add(outbox)
    server_place.publish(outbox, "invoice.paid", {})

    class Late:
        """A connection of a process that is slow to ask for the lock."""

        def __init__(self, connection: Connection) -> None:
            self.dialect = connection.dialect
            self.change, self.change_each = connection.change, connection.change_each
            self.connection = connection

        def rows(self, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
            """Let another process route before the lock is asked for."""
            turns = {"SELECT id FROM hooksig_installation {skip_locked}": server_place.route}
            turns.get(statement, int)()
            return self.connection.rows(statement, values)

    assert server_place.run(lambda connection: route(Late(connection), 0)) == 0
    assert len(outbox.deliveries()) == 1


def test_an_endpoint_that_is_deleted_meanwhile(server_place: Place) -> None:
    """No delivery stays behind that nobody would ever end."""
    outbox = server_place.outbox()
    endpoint = add(outbox)
    server_place.publish(outbox, "invoice.paid", {})
    deleting = threading.Thread(target=outbox.delete_endpoint, args=[endpoint])

    def route_slowly(connection: Connection) -> int:
        routed = route(connection, time_of(connection))
        deleting.start()
        deleting.join(0.2)
        return routed

    assert server_place.run(route_slowly) == 1
    deleting.join(30)

    assert [each.state for each in outbox.deliveries()] == [DeliveryState.CANCELLED]


def test_lanes(place: Place) -> None:
    """Of the messages of one key, only the first is due, at endpoints that ask for the order."""
    outbox = place.outbox()
    ordered, other = add(outbox, order="key"), add(outbox)
    for key in ("a", "b", "a", None, "a", None, "A"):
        place.publish(outbox, "invoice.paid", {}, key=key)

    place.route()

    due, waits = DeliveryState.DUE, DeliveryState.WAITING
    states = [each.state for each in outbox.deliveries(endpoint=ordered)][::-1]
    assert states == [due, due, waits, due, waits, due, due]
    assert {each.state for each in outbox.deliveries(endpoint=other)} == {due}
    numbers = place.rows(
        "SELECT number FROM hooksig_deliveries WHERE lane = 'a' AND endpoint = :id ORDER BY id",
        {"id": ordered},
    )
    assert numbers == [(1,), (2,), (3,)]


def test_lanes_go_on(place: Place) -> None:
    """What comes later is behind what waits already."""
    outbox = place.outbox()
    add(outbox, order="key")
    for _ in range(2):
        place.publish(outbox, "invoice.paid", {}, key="a")
        place.route()

    states = [each.state for each in outbox.deliveries()][::-1]
    assert states == [DeliveryState.DUE, DeliveryState.WAITING]
