"""The tables of an outbox: making them, their version, and whose they are."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from frappe_hooksig import ConfigurationError
from frappe_hooksig.outbox import Outbox, Worker
from frappe_hooksig.outbox._tables import NEWEST
from frappe_hooksig.testing import FakeReceiver
from tests.outbox.places import URL, Place
from tests.outbox.post import SECRET


def make_older(place: Place) -> None:
    """Put the tables' version back."""
    place.change("UPDATE hooksig_installation SET version = :version", {"version": NEWEST - 1})


def test_migrate_twice(place: Place) -> None:
    """The second time there is nothing to do, and what the tables have stays."""
    outbox = place.bare_outbox()
    assert outbox.migrate() == NEWEST
    place.publish(outbox, "invoice.paid", {})

    assert outbox.migrate() == 0

    assert place.rows("SELECT COUNT(*) FROM hooksig_messages") == [(1,)]


def test_migrate_after_an_interruption(place: Place) -> None:
    """A step that was left half done is done again."""
    outbox = place.outbox()
    place.change("UPDATE hooksig_installation SET version = 0")
    place.change("DROP TABLE hooksig_processes")

    assert outbox.migrate() == NEWEST

    assert place.rows("SELECT COUNT(*) FROM hooksig_processes") == [(0,)]


def test_migrate_after_a_column_was_added(place: Place) -> None:
    """MariaDB commits with each ALTER, too, so the column may be there in the older version."""
    outbox = place.outbox()
    make_older(place)

    assert outbox.migrate() == 1

    assert outbox.endpoints() == []


def test_migrate_rows_of_the_first_version(place: Place) -> None:
    """Each delivery gets the tenant of its message, and the id as new if it has one."""
    outbox = place.outbox()
    outbox.add_endpoint(URL, secret_from="env:A", tenant="acme")
    message = place.publish(outbox, "invoice.paid", {}, tenant="acme")
    place.route()
    place.change("UPDATE hooksig_deliveries SET state = 4, ended_at = 1")
    outbox.send_as_new(message=message)
    columns = "SELECT tenant, new_id FROM hooksig_deliveries ORDER BY id"
    expected = place.rows(columns)
    of_table = place.database().dialect.sql("{on_attempts}").replace("attempts", "deliveries")
    for index, column in (("tenant", "tenant"), ("new", "new_id")):
        place.change(f"DROP INDEX IF EXISTS hooksig_deliveries_{index} {of_table}")
        place.change(f"ALTER TABLE hooksig_deliveries DROP COLUMN {column}")
    place.change("UPDATE hooksig_installation SET version = 1")

    outbox.migrate()

    assert place.rows(columns) == expected
    assert expected == [("acme", None), ("acme", outbox.deliveries()[0].sent_as)]


def test_migrate_after_the_first_statement(place: Place) -> None:
    """MariaDB commits with each CREATE, so there may be a table without its row."""
    outbox = place.outbox()
    place.change("DELETE FROM hooksig_installation")
    with pytest.raises(ConfigurationError, match="outbox migrate"):
        outbox.is_confirmed()

    assert outbox.migrate() == NEWEST

    assert outbox.is_confirmed()


def test_migrate_at_once(place: Place) -> None:
    """Several processes that start with a new database may all make its tables."""
    outboxes = [place.bare_outbox() for _ in range(4)]
    meet = threading.Barrier(len(outboxes))
    steps: list[int] = []

    def migrate(outbox: Outbox) -> None:
        meet.wait(30)
        steps.append(outbox.migrate())

    threads = [threading.Thread(target=migrate, args=[each]) for each in outboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(steps) == len(outboxes)
    assert outboxes[0].is_confirmed()


def test_migrate_in_the_callers_transaction(place: Place) -> None:
    """The caller commits, as in a migration of its own."""
    outbox = place.bare_outbox()

    with place.caller() as caller:
        assert outbox.migrate(caller.theirs) == NEWEST
        caller.commit()

    assert outbox.is_confirmed()


def test_migrate_that_is_rolled_back(place: Place) -> None:
    """What is left of it, if the database keeps tables or not, is in nobody's way."""
    outbox = place.bare_outbox()
    with place.caller() as caller:
        outbox.migrate(caller.theirs)
        caller.rollback()

    outbox.migrate()

    assert outbox.is_confirmed()


def test_migrate_on_something_else(place: Place) -> None:
    """What is no connection is refused."""
    with pytest.raises(ConfigurationError, match="takes a"):
        place.bare_outbox().migrate("a connection")


def test_tables_of_a_newer_release(place: Place) -> None:
    """An older release touches nothing, and says what to install."""
    outbox = place.outbox()
    newer = {"version": NEWEST + 1}
    place.change("UPDATE hooksig_installation SET version = :version", newer)

    says = rf"have version {NEWEST + 1}, .* knows {NEWEST}: install the newer release"
    for use in (outbox.migrate, outbox.is_confirmed, outbox.drain, Worker(outbox).run):
        with pytest.raises(ConfigurationError, match=says):
            use()


def test_tables_of_an_older_release(place: Place) -> None:
    """Nothing is sent before the tables are migrated."""
    outbox = place.outbox()
    make_older(place)

    for use in (outbox.is_confirmed, outbox.drain, Worker(outbox).run):
        with pytest.raises(ConfigurationError, match="frappe-hooksig outbox migrate"):
            use()


def test_from_version_1(place: Place) -> None:
    """The endpoints of the first version stay, without a format, and get what was published."""
    with FakeReceiver() as receiver:
        outbox = place.outbox(references={"test": {"one": SECRET}.get})
        endpoint = outbox.add_endpoint(receiver.url, secret_from="test:one")
        place.change("ALTER TABLE hooksig_endpoints DROP COLUMN format")
        place.change("UPDATE hooksig_installation SET version = 1")
        place.publish(outbox, "invoice.paid", {"name": "INV-00001"})

        assert outbox.migrate() == NEWEST - 1

        assert outbox.endpoints() == [endpoint]
        assert Worker(outbox).run(once=True) == 1
        assert receiver.requests[0].body == b'{"name": "INV-00001"}'


USES: dict[str, Callable[[Outbox], object]] = {
    "is_confirmed": Outbox.is_confirmed,
    "confirm": Outbox.confirm,
    "add_endpoint": lambda outbox: outbox.add_endpoint(URL, secret_from="env:A"),
    "change_endpoint": lambda outbox: outbox.change_endpoint("ep_1", hold=1),
    "endpoint": lambda outbox: outbox.endpoint("ep_1"),
    "endpoints": Outbox.endpoints,
    "delete_endpoint": lambda outbox: outbox.delete_endpoint("ep_1"),
    "pause": lambda outbox: outbox.pause("ep_1"),
    "resume": lambda outbox: outbox.resume("ep_1"),
    "message": lambda outbox: outbox.message("msg_1"),
    "payload": lambda outbox: outbox.payload("msg_1"),
    "messages": Outbox.messages,
    "delivery": lambda outbox: outbox.delivery(1),
    "deliveries": Outbox.deliveries,
    "attempts": lambda outbox: outbox.attempts(1),
    "send_again": lambda outbox: outbox.send_again(delivery=1),
    "send_as_new": lambda outbox: outbox.send_as_new(delivery=1),
    "numbers": Outbox.numbers,
    "drain": Outbox.drain,
    "Worker": lambda outbox: Worker(outbox).run(once=True),
}


def test_without_tables(place: Place) -> None:
    """Whatever is called, the error says how to make them."""
    outbox = place.bare_outbox()

    for use in USES.values():
        with pytest.raises(ConfigurationError, match="`frappe-hooksig outbox init`"):
            use(outbox)


def test_publish_without_tables(place: Place) -> None:
    """So does publishing, in whatever state the caller's transaction is then."""
    outbox = place.bare_outbox()

    with (
        place.caller() as caller,
        pytest.raises(ConfigurationError, match="`frappe-hooksig outbox init`"),
    ):
        outbox.publish(caller.theirs, "invoice.paid", {})


def test_other_errors_of_the_database(place: Place) -> None:
    """An error that is not about missing tables is the database's own."""
    outbox = place.outbox()
    place.change("DROP TABLE hooksig_messages")

    with pytest.raises(place.database().errors, match="hooksig_messages"):
        outbox.message("msg_1")
    with place.caller() as caller, pytest.raises(place.database().errors, match="hooksig_messages"):
        outbox.publish(caller.theirs, "invoice.paid", {})


def test_tables_of_this_installation(place: Place) -> None:
    """Each process of an installation may use them."""
    place.outbox()

    assert place.bare_outbox().is_confirmed()


def test_tables_of_another_installation(place: Place) -> None:
    """They are used once somebody has confirmed; then no more by the one before."""
    before = place.outbox(installation="production")
    after = place.bare_outbox(installation="staging")
    assert (before.is_confirmed(), after.is_confirmed()) == (True, False)

    after.confirm()

    assert (before.is_confirmed(), after.is_confirmed()) == (False, True)


@pytest.mark.parametrize("is_kept", [True, False], ids=["committed", "rolled back"])
def test_confirm_in_the_callers_transaction(place: Place, is_kept: bool) -> None:  # noqa: FBT001
    """It holds if the caller commits."""
    place.outbox(installation="production")
    after = place.bare_outbox(installation="staging")

    with place.caller() as caller:
        after.confirm(caller.theirs)
        (caller.commit if is_kept else caller.rollback)()

    assert after.is_confirmed() is is_kept


def test_named_and_unnamed_installation(place: Place) -> None:
    """A name is never the identity of a database, even if it is the same text."""
    unnamed = place.outbox()
    database = place.database()
    named = place.bare_outbox(installation=database.run(database.identity))

    assert unnamed.is_confirmed()
    assert not named.is_confirmed()


def test_migrate_does_not_confirm(place: Place) -> None:
    """A copy is migrated, and still belongs to another installation."""
    place.outbox(installation="production")
    copy = place.bare_outbox(installation="staging")

    copy.migrate()

    assert not copy.is_confirmed()


@pytest.mark.parametrize("name", ["", 7, b"production", ["production"]], ids=repr)
def test_no_name_of_an_installation(sqlite: Place, name: object) -> None:
    """An installation has a name that is some text."""
    with pytest.raises(ConfigurationError, match="installation="):
        sqlite.bare_outbox(installation=name)
