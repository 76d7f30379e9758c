"""Publishing: one row in the caller's transaction."""

from __future__ import annotations

from tests.outbox.places import Place

_TABLES = ("endpoints", "messages", "lanes", "deliveries", "attempts", "processes")


def counts(place: Place) -> dict[str, int]:
    """Return how many rows each table has."""
    return {table: place.rows(f"SELECT COUNT(*) FROM hooksig_{table}")[0][0] for table in _TABLES}


def test_publish_inserts_one_row(place: Place) -> None:
    """Nothing else is written in the caller's transaction, however many endpoints there are."""
    outbox = place.outbox()
    before = counts(place)

    place.publish(outbox, "invoice.paid", {"total": 7})

    assert counts(place) == {**before, "messages": 1}


def test_rolled_back_means_never_published(place: Place) -> None:
    """What the caller rolls back is gone."""
    outbox = place.outbox()

    with place.caller() as caller:
        outbox.publish(caller.theirs, "invoice.paid", {"total": 7})
        caller.rollback()
        caller.commit()

    assert counts(place)["messages"] == 0
