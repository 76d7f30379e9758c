"""Lanes: the messages of one key for one endpoint, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from frappe_hooksig.outbox import Outbox
from frappe_hooksig.outbox._database import time_of
from frappe_hooksig.outbox._lanes import join, leave
from tests.outbox.places import URL, Place


@pytest.fixture
def place(store: Place) -> Place:
    """Return each kind of database in turn."""
    return store


@pytest.fixture
def outbox(place: Place) -> Iterator[Outbox]:
    """Return an outbox with an ordered endpoint."""
    outbox = place.outbox()
    yield outbox
    outbox.close()


def test_join(place: Place, outbox: Outbox) -> None:
    """The first delivery of a lane is its head; the numbers go on."""
    del outbox

    assert place.run(lambda it: join(it, "ep_1", "a", 1)) == (1, True)
    assert place.run(lambda it: join(it, "ep_1", "a", 3)) == (2, False)
    assert place.run(lambda it: join(it, "ep_1", "a", 1)) == (5, False)
    assert place.run(lambda it: join(it, "ep_1", "A", 2)) == (1, True)
    assert place.run(lambda it: join(it, "ep_2", "a", 1)) == (1, True)


def test_leave(place: Place, outbox: Outbox) -> None:
    """When the head leaves, the next one is due now, and nothing else changes."""
    endpoint = outbox.add_endpoint(URL, secret_from="env:A", order="key").id
    outbox.add_endpoint(URL, secret_from="env:A", order="key")
    for key in ("a", "a", "a", "b", "b"):
        place.publish(outbox, "invoice.paid", {}, key=key)
    place.route()
    place.change("UPDATE hooksig_deliveries SET due_at = 0, set_at = 0")
    now = place.run(time_of)

    end_head(place, endpoint, "a", now)

    states = "SELECT state, due_at, set_at FROM hooksig_deliveries WHERE endpoint = :id ORDER BY id"
    assert place.rows(states, {"id": endpoint}) == [
        (3, 0, 0),
        (1, now, now),
        (0, 0, 0),
        (1, 0, 0),
        (0, 0, 0),
    ]
    others = "SELECT COUNT(*) FROM hooksig_deliveries WHERE endpoint <> :id AND state = 0"
    assert place.rows(others, {"id": endpoint}) == [(3,)]


def test_a_lane_that_is_empty_again(place: Place, outbox: Outbox) -> None:
    """Once all have left, the lane has no row, and the next one to join is the head."""
    endpoint = outbox.add_endpoint(URL, secret_from="env:A", order="key").id
    for _ in range(2):
        place.publish(outbox, "invoice.paid", {}, key="a")
    place.route()

    for _ in range(2):
        end_head(place, endpoint, "a", 7)

    assert place.rows("SELECT * FROM hooksig_lanes") == []
    assert place.run(lambda it: join(it, endpoint, "a", 1)) == (1, True)


def end_head(place: Place, endpoint: str, lane: str, now: int) -> None:
    """End the head of a lane, as settling does."""
    head = "UPDATE hooksig_deliveries SET state = 3, lane = NULL "
    head += "WHERE endpoint = :id AND lane = :lane AND state = 1"
    assert place.change(head, {"id": endpoint, "lane": lane}) == 1
    place.run(lambda it: leave(it, endpoint, lane, now))
