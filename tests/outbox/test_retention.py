"""Retention: what was delivered long ago is forgotten, and nothing else."""

from __future__ import annotations

from functools import partial

import pytest

from frappe_hooksig.outbox import Outbox
from frappe_hooksig.outbox._retention import AT_ONCE, prune
from tests.outbox.places import URL, Place

NOW = 1_000_000


@pytest.fixture
def place(store: Place) -> Place:
    """Return each kind of database in turn."""
    return store


def published(place: Place, outbox: Outbox, count: int) -> list[str]:
    """Publish messages long ago, and route them."""
    with place.caller() as caller:
        ids = [outbox.publish(caller.theirs, "a", {}, key="k") for _ in range(count)]
        caller.commit()
    while place.route():
        pass
    place.change("UPDATE hooksig_messages SET created_at = 5")
    return ids


def pruned(place: Place, before: int = NOW) -> list[int]:
    """Prune until nothing is left to look at; return how many each step has deleted."""
    counts: list[int] = []
    after: int | None = 0
    while after is not None:
        count, after = place.run(partial(prune, before=before, after=after))
        counts.append(count)
    return counts


def left(place: Place) -> tuple[int, int, int]:
    """Return how many messages, deliveries and attempts there are."""
    tables = ("messages", "deliveries", "attempts")
    counts = [place.rows(f"SELECT COUNT(*) FROM hooksig_{table}")[0][0] for table in tables]
    return counts[0], counts[1], counts[2]


def test_what_has_ended(place: Place) -> None:
    """A message goes with its deliveries and their attempts, and with nothing of others."""
    outbox = place.outbox()
    for _ in range(2):
        outbox.add_endpoint(URL, secret_from="env:A")
    _, kept = published(place, outbox, 2)
    place.change("UPDATE hooksig_deliveries SET state = 3, ended_at = 6")
    recent = {"now": NOW, "id": kept}
    place.change("UPDATE hooksig_messages SET created_at = :now WHERE id = :id", recent)
    columns = "SELECT id, 1, endpoint, 0, 0, 'delivered', '', '', ''"
    place.change(
        "INSERT INTO hooksig_attempts (delivery, number, endpoint, started_at, took_ms, outcome, "
        f"reason, problem, answer) {columns} FROM hooksig_deliveries"
    )

    assert pruned(place) == [1]

    assert left(place) == (1, 2, 2)
    assert outbox.message(kept).id == kept


@pytest.mark.parametrize("state", [0, 1, 2])
def test_what_has_not_ended(place: Place, state: int) -> None:
    """A delivery that is not over keeps its message, however old it is."""
    outbox = place.outbox()
    for _ in range(2):
        outbox.add_endpoint(URL, secret_from="env:A")
    published(place, outbox, 1)
    place.change("UPDATE hooksig_deliveries SET state = 3, ended_at = 6")
    values = {"state": state}
    newest = "SELECT MAX(id) FROM hooksig_deliveries"
    ((number,),) = place.rows(newest)
    place.change(
        "UPDATE hooksig_deliveries SET state = :state, ended_at = NULL WHERE id = :id",
        {**values, "id": number},
    )

    assert pruned(place) == [0]

    assert left(place) == (1, 2, 0)


@pytest.mark.parametrize(("ended_at", "gone"), [(NOW - 1, 1), (NOW, 0), (NOW + 1, 0)])
@pytest.mark.parametrize("state", [3, 4, 5])
def test_since_the_last_one_ended(place: Place, state: int, ended_at: int, gone: int) -> None:
    """The time begins when the last delivery has ended, in whatever way."""
    outbox = place.outbox()
    outbox.add_endpoint(URL, secret_from="env:A")
    published(place, outbox, 1)
    values = {"state": state, "at": ended_at}
    place.change("UPDATE hooksig_deliveries SET state = :state, ended_at = :at", values)

    assert pruned(place) == [gone]


def test_nobody_took_it(place: Place) -> None:
    """A message without deliveries goes, too, unless it was not routed yet."""
    outbox = place.outbox()
    published(place, outbox, 3)
    place.change("UPDATE hooksig_messages SET is_routed = 0 WHERE seq = 2")

    assert pruned(place) == [2]

    assert place.rows("SELECT seq, is_routed FROM hooksig_messages") == [(2, 0)]


def test_nothing_to_do(place: Place) -> None:
    """An empty outbox, and one where all is new."""
    outbox = place.outbox()
    assert pruned(place) == [0]
    published(place, outbox, 1)

    assert pruned(place, before=5) == [0]
    assert left(place)[0] == 1


def test_many(place: Place) -> None:
    """It goes in chunks, past those that are needed still, so none takes long."""
    outbox = place.outbox()
    outbox.add_endpoint(URL, secret_from="env:A")
    published(place, outbox, 2 * AT_ONCE + 7)
    place.change("UPDATE hooksig_deliveries SET state = 4, ended_at = 6")
    place.change(f"UPDATE hooksig_deliveries SET state = 1 WHERE message <= {AT_ONCE}")

    assert pruned(place) == [0, AT_ONCE, 7]

    assert left(place) == (AT_ONCE, AT_ONCE, 0)
    place.change("UPDATE hooksig_deliveries SET state = 4, ended_at = 6")
    assert pruned(place) == [AT_ONCE, 0]
    assert left(place) == (0, 0, 0)


@pytest.mark.parametrize("retention", [59, 3650 * 86_400 + 1, None, "30 days"])
def test_retention_of_an_outbox(sqlite: Place, retention: object) -> None:
    """It is from a minute to ten years."""
    with pytest.raises(Exception, match="retention= must be a number from 60 to"):
        sqlite.bare_outbox(retention=retention)
