"""Databases for the tests of an outbox, as Django uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from frappe_hooksig.integrations.django import DjangoDatabase
from tests.integrations.test_django import SETTINGS
from tests.outbox.places import Caller, Place

assert SETTINGS  # test_django has configured Django

_numbers = count(1)


def rows(connection: BaseDatabaseWrapper, statement: str) -> list[Any]:
    """Run a statement in the app's transaction; return what it finds."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


@contextmanager
def django_place(name: str, settings: Mapping[str, Any], address: str) -> Iterator[Place]:
    """Add a database to Django's, until the block ends."""
    alias = f"outbox{next(_numbers)}"
    known: Any = connections.settings
    own: dict[str, Any] = {"OPTIONS": {}, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False}
    known[alias] = {**known["once"], **own, **settings}

    @contextmanager
    def caller() -> Iterator[Caller]:
        connection = connections[alias].copy()
        connection.set_autocommit(False)
        try:
            yield Caller(
                connection, partial(rows, connection), connection.commit, connection.rollback
            )
            connection.rollback()
        finally:
            connection.close()

    place = Place(name, lambda: DjangoDatabase(alias), caller, address)
    try:
        yield place
    finally:
        place.close()
        connections[alias].close()
        del connections[alias]
        del known[alias]
