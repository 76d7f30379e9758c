"""The transactions around a view: until they have ended, nobody else sees what it has written."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper


def open_around() -> list[BaseDatabaseWrapper]:
    """Return the connections of this thread that are in a transaction.

    Called where a view has ended, they are those of ATOMIC_REQUESTS and of `transaction.atomic`
    above our decorator. What Django's TestCase begins is none: it never commits.
    """
    return [each for each in connections.all(initialized_only=True) if is_open(each)]


def is_open(connection: BaseDatabaseWrapper) -> bool:
    """Whether a connection is in a transaction, other than that of a TestCase."""
    blocks: list[Any] = connection.atomic_blocks
    return any(not block._from_testcase for block in blocks)  # noqa: SLF001  # as Django's durable=


def roll_back(around: list[BaseDatabaseWrapper]) -> None:
    """Let transactions undo what was written in them, once they end."""
    for connection in around:
        connection.set_rollback(True)


def after_commit(around: list[BaseDatabaseWrapper], action: Callable[[], object]) -> None:
    """Do something when all of the transactions have been committed, and else never."""
    left = {each.alias for each in around}

    def committed(alias: str) -> None:
        left.discard(alias)
        if not left:
            action()

    for alias in sorted(left):
        # Robust: the view has run, and its answer is to go out whatever becomes of the action.
        transaction.on_commit(partial(committed, alias), using=alias, robust=True)
