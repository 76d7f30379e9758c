"""Databases for the tests of an outbox, as Django uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from django.db import connections

from frappe_hooksig.integrations.django import DjangoDatabase
from tests.integrations.test_django import SETTINGS
from tests.outbox.places import Caller, Place

assert SETTINGS  # test_django has configured Django

_numbers = count(1)


@contextmanager
def django_place(name: str, settings: Mapping[str, Any], address: str) -> Iterator[Place]:
    """Add a database to Django's, until the block ends."""
    alias = f"outbox{next(_numbers)}"
    known: Any = connections.settings
    own: dict[str, Any] = {"OPTIONS": {}, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False}
    known[alias] = {**known["once"], **settings, **own}

    @contextmanager
    def caller() -> Iterator[Caller]:
        connection = connections[alias].copy()
        connection.set_autocommit(False)
        try:
            with connection.cursor() as cursor:
                yield Caller(connection, cursor.execute, connection.commit, connection.rollback)
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
