"""Whether the database was moved to another one: then nothing is written here any more."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Final

from sqlalchemy import Connection, delete, exists, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from delivery_service.problems import Problem
from delivery_service.settings import Settings
from delivery_service.tables import Move
from frappe_hooksig import ConfigurationError

_FIND: Final = select(Move.moved_at, Move.target)
#: A column for the query that finds who sends a request, which saves a round trip.
IS_MOVED: Final = exists(select(Move.moved_at)).label("is_moved")


class Moved(ConfigurationError):
    """The database was moved to another one.

    Attributes:
        day: When, such as 2026-11-30.
        target: Where to, without a password.
    """

    def __init__(self, day: str, target: str) -> None:
        super().__init__(day, target)
        self.day = day
        self.target = target

    def __str__(self) -> str:
        return (
            f"the database was moved to {self.target} on {self.day}: set the new one. To take the "
            "move back: `delivery-service confirm --although-moved`"
        )


def moved_problem() -> Problem:
    """Return what answers requests at a database that was moved."""
    detail = "the service has moved to another database; try again"
    return Problem(503, "moved", detail, headers={"Retry-After": "5"})


def refuse_moved(session: Session) -> None:
    """Refuse what a session has written, or what the outbox has committed before.

    A writer that waited for `move` to end finds the mark here: the copy does not have what it
    wrote. One that finds none was before the copy, which has it.

    Raises:
        Problem: The database was moved.
    """
    session.flush()
    if session.execute(_FIND).first() is not None:
        raise moved_problem()


def check_not_moved(connection: Connection) -> None:
    """Refuse a database that was moved.

    Raises:
        Moved: It was.
    """
    row = connection.execute(_FIND).first()
    if row is not None:
        day = datetime.fromtimestamp(row.moved_at, timezone.utc)
        raise Moved(day.strftime("%Y-%m-%d"), row.target)


def mark(connection: Connection, target: Settings, now: int) -> None:
    """Note that the database was moved to another one."""
    connection.execute(insert(Move).values(moved_at=now, target=place_of(target)))


def unmark(session: Session) -> None:
    """Forget that the database was moved."""
    session.execute(delete(Move))


def place_of(settings: Settings) -> str:
    """Return where a database is, without what may be a secret."""
    url = make_url(settings.database_url.get_secret_value())
    host = url.host or url.query.get("host")
    at = f" at {host}" if isinstance(host, str) else ""
    return f"{url.get_backend_name()} {url.database}{at}"
