"""`DjangoDatabase` in databases that are servers."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from frappe_hooksig.outbox import Outbox, Worker
from frappe_hooksig.testing import FakeReceiver
from tests.outbox.places import URL, Place

ISOLATION = {
    "postgresql": "SHOW transaction_isolation",
    "mariadb": "SELECT @@session.tx_isolation",
}
REPEATABLE = {
    "postgresql": psycopg.IsolationLevel.REPEATABLE_READ,
    "mariadb": "repeatable read",
}
OTHERS = {
    "postgresql": (
        "SELECT pid FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    ),
    "mariadb": (
        "SELECT id FROM information_schema.processlist "
        "WHERE id <> CONNECTION_ID() AND db = DATABASE()"
    ),
}
# Each server's own name for the one connection.
OWN = {"postgresql": "SELECT pg_backend_pid()", "mariadb": "SELECT CONNECTION_ID()"}
END = {"postgresql": "SELECT pg_terminate_backend({})", "mariadb": "KILL {}"}
# The first statements of each kind lose against another transaction.
LOSES = """
CREATE SEQUENCE lost;
CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('lost') <= {times} THEN RAISE deadlock_detected; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER loses BEFORE INSERT ON hooksig_endpoints FOR EACH ROW EXECUTE FUNCTION lose();
"""


@pytest.fixture(
    params=["django_postgresql", pytest.param("django_mariadb", marks=pytest.mark.long)]
)
def server(request: pytest.FixtureRequest) -> Place:
    """Return each server in turn."""
    made: Place = request.getfixturevalue(request.param)
    return made


def settings_of(place: Place) -> dict[str, Any]:
    """Return Django's settings of a database."""
    from django.db import connections

    database: Any = place.database()
    settings: dict[str, Any] = connections.settings[database.using]
    return settings


def add(outbox: Outbox) -> None:
    """Add an endpoint."""
    outbox.add_endpoint(URL, secret_from="env:A")


def test_migration(server: Place) -> None:
    """The tables are those of this installation; the migration goes there and back."""
    from django.core.management import call_command

    database: Any = server.database()
    call_command("migrate", database=database.using, verbosity=0)
    outbox = server.bare_outbox()
    assert outbox.is_confirmed()
    assert outbox.migrate() == 0
    add(outbox)

    call_command("migrate", "frappe_hooksig", "0001", database=database.using, verbosity=0)
    call_command("migrate", database=database.using, verbosity=0)
    assert outbox.endpoints() == []


def test_worker(server: Place) -> None:
    """What is published on Django's connection is sent."""
    outbox = server.outbox(references={"test": lambda _: "whsec_" + "c2VjcmV0" * 4})
    with FakeReceiver() as receiver, Worker(outbox):
        outbox.add_endpoint(receiver.url, secret_from="test:a")
        server.publish(outbox, "invoice.paid", {"total": "7 %"})

        (request,) = receiver.wait_for(1, 30)
    assert request.json() == {"total": "7 %"}


def test_settings_of_connections_do_not_matter(server: Place) -> None:
    """The outbox has no pool, and sees what others commit, whatever the app has chosen."""
    database: Any = server.database()
    name = database.dialect.name
    settings_of(server)["OPTIONS"].update(pool=True, isolation_level=REPEATABLE[name])

    ((level,),) = server.rows(ISOLATION[name])

    assert level.replace("-", " ").lower() == "read committed"


def test_connection_that_the_server_ended(server: Place) -> None:
    """It is replaced once it was idle for a moment."""
    database: Any = server.database()
    name = database.dialect.name
    ((ended,),) = database.run(lambda each: each.rows(OWN[name]))
    other: Any = server.make()
    other.run(lambda each: each.change(END[name].format(ended)))
    other.close()
    time.sleep(1.1)

    assert database.run(lambda each: each.rows(OWN[name])) != [(ended,)]


def test_worker_whose_connections_are_ended(server: Place) -> None:
    """It goes on with new ones, as after a restart of the server."""
    outbox = server.outbox(references={"test": lambda _: "whsec_" + "c2VjcmV0" * 4})
    other: Any = server.make()
    name = other.dialect.name
    with FakeReceiver() as receiver, Worker(outbox):
        outbox.add_endpoint(receiver.url, secret_from="test:a")
        server.publish(outbox, "invoice.paid", 1)
        receiver.wait_for(1, 30)
        for _ in range(5):
            for (own,) in other.run(lambda each: each.rows(OTHERS[name])):
                with suppress(*other.errors):  # it may have ended by itself
                    other.run(lambda each, own=own: each.rows(END[name].format(own)))
            time.sleep(0.1)
        server.publish(outbox, "invoice.paid", 2)

        assert receiver.wait_for(2, 30)[1].json() == 2
    other.close()


def test_unreachable(server: Place) -> None:
    """What is raised then is one of the errors that workers survive."""
    settings_of(server).update(HOST="127.0.0.1", PORT="1")
    database: Any = server.database()

    with pytest.raises(database.errors):
        database.run(lambda each: each.rows("SELECT 1"))


def losing(place: Place, times: int) -> Outbox:
    """Return an outbox in PostgreSQL whose statements lose so many times."""
    outbox = place.outbox()
    place.change(LOSES.format(times=times))
    return outbox


def test_conflict(django_postgresql: Place) -> None:
    """What the database has rolled back in favour of another transaction is done again."""
    outbox = losing(django_postgresql, 3)

    add(outbox)

    assert len(outbox.endpoints()) == 1


def test_endless_conflict(django_postgresql: Place) -> None:
    """Nobody tries for ever, and the error is one that the outbox knows."""
    database: Any = django_postgresql.database()
    outbox = losing(django_postgresql, 10**9)

    with pytest.raises(database.errors, match="deadlock_detected"):
        add(outbox)
