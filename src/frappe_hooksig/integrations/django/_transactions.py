"""The transactions around a view. Until they commit, nobody else sees what the view has written."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper


def open_around() -> list[BaseDatabaseWrapper]:
    """Return the connections of this thread that are in a transaction.

    After a view, these are the transactions of ATOMIC_REQUESTS, and of `transaction.atomic` above
    our decorator. The transaction of Django's TestCase does not count: it never commits.
    """
    return [each for each in connections.all(initialized_only=True) if is_open(each)]


def is_open(connection: BaseDatabaseWrapper) -> bool:
    """Whether a connection is in a transaction. The one of a TestCase does not count."""
    blocks: list[Any] = connection.atomic_blocks
    return any(not block._from_testcase for block in blocks)  # noqa: SLF001  # atomic(durable=True) of Django does the same


def is_in_test_case(connection: BaseDatabaseWrapper) -> bool:
    """Whether a connection is in the transaction of Django's TestCase, which never commits."""
    blocks: list[Any] = connection.atomic_blocks
    return any(block._from_testcase for block in blocks)  # noqa: SLF001


def roll_back(around: list[BaseDatabaseWrapper]) -> None:
    """Mark transactions, so that they roll back when they end."""
    for connection in around:
        connection.set_rollback(True)


def after_commit(around: list[BaseDatabaseWrapper], action: Callable[[], object]) -> None:
    """Call `action` once all transactions are committed. If one rolls back, never call it."""
    left = {each.alias for each in around}

    def committed(alias: str) -> None:
        left.discard(alias)
        if not left:
            action()

    for alias in sorted(left):
        # robust=True: the view has run, so its response must go out even if the action fails.
        transaction.on_commit(partial(committed, alias), using=alias, robust=True)
