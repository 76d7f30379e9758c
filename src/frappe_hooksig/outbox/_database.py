"""The protocol of the databases that an outbox can live in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from frappe_hooksig.outbox._dialect import Dialect

#: The values of a statement, by their names.
Values: TypeAlias = Mapping[str, Any]

_T = TypeVar("_T")


class Connection(Protocol):
    """A connection inside a transaction, which somebody else ends."""

    @property
    def dialect(self) -> Dialect:
        """The SQL of the database."""
        ...

    def rows(self, statement: str, values: Values = ...) -> list[tuple[Any, ...]]:
        """Run a query, and return its rows."""
        ...

    def change(self, statement: str, values: Values = ...) -> int:
        """Run a statement that writes, and return how many rows it found."""
        ...

    def change_each(self, statement: str, several: Sequence[Values]) -> None:
        """Run a statement that writes, once for each set of values."""
        ...


class Database(Protocol):
    """A database that contains the tables of an outbox.

    Threads and processes may share it. What an outbox does for itself runs on connections of its
    own, which share no pool with the app: an app that uses up its connections must not stop
    deliveries, nor let the claims of a living process lapse.
    """

    @property
    def dialect(self) -> Dialect:
        """The SQL of the database."""
        ...

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What statements raise if the database refuses them or cannot be reached."""
        ...

    def run(self, work: Callable[[Connection], _T]) -> _T:
        """Run a function in a transaction of its own, and commit it.

        If another transaction is in the way (a deadlock, a conflict), it runs again. So it must not
        change anything but the database.
        """
        ...

    def adopted(self, theirs: object) -> Connection:
        """Return the caller's connection or session, in whose transaction a message is published.

        Raises:
            ConfigurationError: It is none that this database can use.
        """
        ...

    def after_commit(self, theirs: object, call: Callable[[], object]) -> None:
        """Have a function called after the caller's transaction is committed, if there is a way.

        If there is none, call it now: it only makes a worker look sooner.
        """
        ...

    def identity(self, connection: Connection) -> str:
        """Return what tells this database from its copies, such as its server and its name."""
        ...

    def version(self) -> int | None:
        """Return a number that changes with each commit of others; None if that is not cheap."""
        ...

    def close(self) -> None:
        """Close the connections that are idle."""
        ...


def among(name: str, values: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    """Return the list of names for `IN`, and its values.

    >>> among("id", [4, 7])
    ('(:id0, :id1)', {'id0': 4, 'id1': 7})
    """
    named = {f"{name}{number}": value for number, value in enumerate(values)}
    return f"({', '.join(f':{each}' for each in named)})", named


def time_of(connection: Connection) -> int:
    """Return the time by the clock of the database, in milliseconds since 1970."""
    now: int = connection.rows("SELECT {now}")[0][0]
    return now
