"""What each database does alike: transactions, values, the clock and its identity."""

from __future__ import annotations

import threading
import time

import pytest

from frappe_hooksig import ConfigurationError
from frappe_hooksig.outbox import Outbox
from frappe_hooksig.outbox._database import Connection, Database, among, time_of
from tests.outbox.places import Place

# Each as a value, never as a part of a statement.
TEXTS = [
    "plain",
    'it\'s "quoted" `here`',
    "100 % of %s, %(name)s and %%",
    ":name, :0 and ::cast",
    "{now} and {",
    "back\\slash \\' and ?",
    "-- comment; DROP TABLE hooksig_messages /*",
    "naïve 日本語",
    "🦄 👩\u200d👩\u200d👧 \U0010ffff",
    "tab\tand\nline",
]


def test_each_is_a_database(place: Place) -> None:
    """An outbox takes it: it has all that the protocol names."""
    names = [each for each in vars(Database) if not each.startswith("_")]
    database = place.database()

    assert [each for each in names if not hasattr(database, each)] == []
    assert Outbox(database)


@pytest.mark.parametrize("given", [None, 7, Database], ids=repr)
def test_what_is_no_database(given: object) -> None:
    """An outbox takes nothing else, and says what it takes."""
    with pytest.raises(ConfigurationError, match="database= must be the path of a SQLite file"):
        Outbox(given)  # type: ignore[arg-type]


def test_result_of_a_transaction(place: Place) -> None:
    """What the function returns comes back."""
    assert place.run(lambda connection: connection.rows("SELECT 1, 'a'")) == [(1, "a")]


def test_a_transaction_that_fails_changes_nothing(place: Place) -> None:
    """All of it is rolled back, and the error is the caller's own."""
    place.outbox()

    def fail(connection: Connection) -> None:
        assert connection.change("UPDATE hooksig_installation SET rung_at = 7") == 1
        raise LookupError

    with pytest.raises(LookupError):
        place.run(fail)

    assert place.rows("SELECT rung_at FROM hooksig_installation") == [(0,)]


def test_errors_of_a_statement(place: Place) -> None:
    """A statement that the database refuses raises one of its errors; then it works again."""
    database = place.database()

    with pytest.raises(database.errors):
        database.run(lambda connection: connection.rows("SELECT nothing FROM nowhere"))

    assert database.run(lambda connection: connection.rows("SELECT 1")) == [(1,)]


def test_change_counts_what_it_found(place: Place) -> None:
    """Rows count that had the new value before, too: so a heartbeat in one millisecond is one."""
    place.outbox()
    same = "UPDATE hooksig_installation SET rung_at = 0"

    assert place.change(same) == 1
    assert place.change(f"{same} WHERE id = 2") == 0


def test_change_each(place: Place) -> None:
    """A statement runs once for each set of values."""
    place.outbox()
    insert = "INSERT INTO hooksig_processes (id, name, started_at, beat_at) "
    insert += "VALUES (:id, :name, 0, 0)"
    several = [{"id": str(number), "name": text} for number, text in enumerate(TEXTS)]

    place.run(lambda connection: connection.change_each(insert, several))

    found = place.rows("SELECT name FROM hooksig_processes ORDER BY id")
    assert [name for (name,) in found] == TEXTS


def test_values_are_values(place: Place) -> None:
    """No value is read as a part of a statement, and each comes back as it is."""
    place.outbox()
    find = "SELECT fingerprint FROM hooksig_installation WHERE fingerprint = :text"

    for text in TEXTS:
        place.change("UPDATE hooksig_installation SET fingerprint = :text", {"text": text})
        assert place.rows(find, {"text": text}) == [(text,)]


def test_large_numbers(place: Place) -> None:
    """Times in milliseconds do not fit into 32 bits."""
    place.outbox()

    place.change("UPDATE hooksig_installation SET rung_at = :at", {"at": 2**62})

    assert place.rows("SELECT rung_at FROM hooksig_installation") == [(2**62,)]


def test_among(place: Place) -> None:
    """Each value of a list has a name of its own."""
    names, values = among("id", [4, 7])

    assert (names, values) == ("(:id0, :id1)", {"id0": 4, "id1": 7})
    assert place.rows(f"SELECT 1 WHERE 7 IN {names}", values) == [(1,)]
    assert place.rows(f"SELECT 1 WHERE 5 IN {names}", values) == []


def test_time(place: Place) -> None:
    """The clock of a database on this machine is that of this machine, in milliseconds of UTC."""
    before = time.time()
    times = [place.run(time_of) for _ in range(3)]
    after = time.time()

    assert sorted(times) == times
    assert before * 1000 - 2 <= times[0] <= times[-1] <= after * 1000 + 2


def test_time_goes_on_in_a_transaction(place: Place) -> None:
    """A lock that was waited for does not leave an old time behind."""

    def twice(connection: Connection) -> int:
        first = time_of(connection)
        time.sleep(0.02)
        return time_of(connection) - first

    assert place.run(twice) >= 10


def test_identity(place: Place) -> None:
    """A database has the same identity in each process."""
    first, second = (
        database.run(database.identity) for database in (place.database(), place.database())
    )

    assert first == second
    assert first.startswith(place.database().dialect.name)


def test_threads(place: Place) -> None:
    """Threads share a database; each transaction has a connection for itself."""
    place.outbox()
    database = place.database()

    def count() -> None:
        for _ in range(20):
            database.run(
                lambda it: it.change("UPDATE hooksig_installation SET rung_at = rung_at + 1")
            )

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert place.rows("SELECT rung_at FROM hooksig_installation") == [(80,)]


def test_close(place: Place) -> None:
    """A database that was closed opens connections again when it is used."""
    database = place.database()
    database.run(time_of)

    database.close()
    database.close()

    assert database.run(time_of)
    database.close()
