"""What SQL databases write differently is written in each of their dialects."""

from __future__ import annotations

import pytest

from frappe_hooksig.outbox._dialect import MARIADB, POSTGRESQL, SQLITE, Dialect


def test_words_are_replaced() -> None:
    """A word in braces becomes what the database writes; the rest stays as it is."""
    dialect = Dialect("some", {"now": "NOW()", "options": ""})

    assert dialect.sql("SELECT {now}, :name, '%' {options}") == "SELECT NOW(), :name, '%' "


def test_an_unknown_word_is_no_sql() -> None:
    """A typing error in a statement does not reach a database."""
    with pytest.raises(KeyError):
        SQLITE.sql("SELECT {nwo}")


def test_a_statement_is_written_once() -> None:
    """Each statement runs for each message, so its text is kept."""
    statement = "SELECT {now}, 1"

    assert SQLITE.sql(statement) is SQLITE.sql(statement)


def test_dialects_have_the_same_words() -> None:
    """A statement that one database understands is one in all of them."""
    dialects = (SQLITE, POSTGRESQL, MARIADB)
    words = [set(each._words) for each in dialects]  # noqa: SLF001  # nothing else tells

    assert words[0] == words[1] == words[2]


def test_repr() -> None:
    """It names the database."""
    assert repr(POSTGRESQL) == "<Dialect postgresql>"
