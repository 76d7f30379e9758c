"""An app with an outbox, in each database: what it publishes, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase
from frappe_hooksig.outbox import Outbox
from frappe_hooksig.sending import AddressGuard, RetrySchedule
from tests.databases import DatabaseServer, mariadb_server, postgresql_server
from tests.outbox.programs import SECRET
from tests.outbox.running import Notes

# What is in flight at the receiver, for somebody who was killed, is soon done.
OFTEN = RetrySchedule((0.2, 0.5, 1, 1, 2, *[3] * 20))


@dataclass(frozen=True)
class App:
    """An app with an outbox.

    Attributes:
        url: Where the database is, for SQLAlchemy.
        server: Its server, if there is one.
        engine: The app's engine.
        outbox: The app's outbox.
    """

    url: str
    server: DatabaseServer | None
    engine: Engine
    outbox: Outbox

    @property
    def address(self) -> str:
        """Where a worker finds the outbox: it opens a SQLite file without SQLAlchemy."""
        return self.url.removeprefix("sqlite:///")

    def publish(self, count: int = 1, *, key: str = "", is_undone: bool = False) -> list[str]:
        """Publish some messages in one transaction.

        Args:
            count: How many.
            key: Makes their idempotency keys.
            is_undone: Whether to roll the transaction back.
        """
        with Session(self.engine) as session:
            published = [
                self.outbox.publish(
                    session,
                    "invoice.paid",
                    {"number": number},
                    idempotency_key=f"{key} {number}" if key else None,
                )
                for number in range(count)
            ]
            (session.rollback if is_undone else session.commit)()
        return published

    def add_endpoints(self, notes: Notes, count: int = 1, takes: float = 0) -> None:
        """Let the receiver have all messages, at so many of its paths."""
        for number in range(count):
            url = f"{notes.url}/{number}?takes={takes}"
            self.outbox.add_endpoint(url, secret_from=f"env:{SECRET}", schedule=OFTEN)

    def has_nothing_left(self) -> bool:
        """Whether all that was published has ended."""
        left = self.outbox.deliveries(states=("waiting", "due", "claimed"), limit=1)
        return not left and not self.outbox.numbers().unrouted

    def dead(self) -> list[Any]:
        """Return what was given up."""
        return self.outbox.deliveries(states="dead")

    def count_deliveries(self) -> int:
        """Return how many deliveries there are, whatever became of them."""
        with self.engine.connect() as connection:
            count = text("SELECT COUNT(*) FROM hooksig_deliveries")
            return int(connection.execute(count).scalar_one())

    def close(self) -> None:
        """Close the connections."""
        self.outbox.close()
        self.engine.dispose()


def app_at(url: str, server: DatabaseServer | None = None) -> App:
    """Return an app whose outbox is in a database."""
    outbox = Outbox(SQLAlchemyDatabase(url), guard=AddressGuard(["127.0.0.1"]), observe=())
    return App(url, server, create_engine(url, pool_pre_ping=True), outbox)


@contextmanager
def in_sqlite(folder: Path) -> Iterator[App]:
    """Make an outbox in a SQLite file."""
    yield from _made(f"sqlite:///{folder / 'outbox.sqlite3'}")


@contextmanager
def in_postgresql(_folder: Path) -> Iterator[App]:
    """Make an outbox in PostgreSQL, with a server of its own."""
    with postgresql_server() as server:
        host = server.settings["HOST"]
        yield from _made(f"postgresql+psycopg://postgres@/postgres?host={host}", server)


@contextmanager
def in_mariadb(_folder: Path) -> Iterator[App]:
    """Make an outbox in MariaDB, with a server of its own."""
    with mariadb_server() as server:
        socket = server.settings["HOST"]
        yield from _made(f"mariadb+pymysql://root@localhost/test?unix_socket={socket}", server)


def _made(url: str, server: DatabaseServer | None = None) -> Iterator[App]:
    app = app_at(url, server)
    try:
        app.outbox.migrate()
        yield app
    finally:
        app.close()
