"""What the commands share: opening the service, asking, printing, and saying what is wrong."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Final, NoReturn

import typer
from sqlalchemy.exc import SQLAlchemyError

from delivery_service.migrating import check_tables
from delivery_service.problems import Problem
from delivery_service.settings import PREFIX, Settings, UnusableSettings
from delivery_service.state import State
from frappe_hooksig import ConfigurationError

DATABASE: Final = f"{PREFIX}DATABASE_URL"
_UNCONFIRMED: Final = "the database was copied or moved: `delivery-service confirm` lets it send"


@contextmanager
def opened(
    *,
    is_migrated: bool = True,
    is_confirmed: bool = True,
    although_moved: bool = False,
    checks_keys: bool = False,
) -> Generator[State]:
    """Open what the settings name, and say what is wrong in one line.

    Args:
        is_migrated: Whether the command needs the tables.
        is_confirmed: Whether to say so if nothing is sent from this database.
        although_moved: Whether a database that was moved to another one will do.
        checks_keys: Whether the keys have to decrypt what is stored.
    """
    with errors_in_one_line():
        state = State.of(read_settings())
        try:
            if is_migrated:
                is_own = check_tables(state.engine, state.outbox, although_moved=although_moved)
                if is_confirmed and not is_own:
                    typer.echo(_UNCONFIRMED, err=True)
            if checks_keys:
                _check_keys(state)
            yield state
        finally:
            state.close()


def read_settings(database: str = DATABASE, **given: str) -> Settings:
    """Return the settings; `database` says where the URL of the database comes from."""
    with errors_in_one_line(database):
        return Settings.read(**given)


@contextmanager
def errors_in_one_line(database: str = DATABASE) -> Generator[None]:
    """Say in one line what is wrong, without a traceback, which may have a secret.

    Args:
        database: Where the URL of the database comes from.
    """
    try:
        yield
    except UnusableSettings as error:
        for each in error.problems:
            typer.echo(each.replace(DATABASE, database), err=True)
        raise typer.Exit(2) from None
    except (ConfigurationError, ValueError) as error:
        fail(_in_words_of_commands(str(error), database))
    except Problem as error:
        fail(error.detail)
    except ModuleNotFoundError as error:
        fail(f"{database} needs a package that is not installed: {error.name}")
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        fail(f"{database}: the database cannot be used: {_cause_of(error)}")


def _check_keys(state: State) -> None:
    try:
        state.outbox.check_keys()
    except ConfigurationError as error:
        msg = f"{error}: `serve` and `work` start with --although-key-lost"
        raise ConfigurationError(msg) from None


# What the library calls its arguments, and how an operator gives them.
_WORDS: Final = {"source=": "SOURCE", "target=": "TARGET", "keys=": f"{PREFIX}KEYS"}


def _in_words_of_commands(message: str, database: str) -> str:
    for name, word in _WORDS.items():
        message = message.replace(name, word)
    return message if database == DATABASE else message.replace("the database", database, 1)


# What SQLite and PostgreSQL say, and what is said of it: they quote names, users and hosts.
_CAUSES: Final = (
    ("connection refused", "no server listens there"),
    ("no such file or directory", "no server listens there"),
    (
        "failed to resolve|could not translate|name or service not known",
        "there is no host of this name",
    ),
    ("timeout expired", "the server does not answer"),
    ('database ".*" does not exist', "the server has no database of this name"),
    (
        'role ".*" does not exist|authentication failed|no password supplied|pg_hba.conf',
        "the server refuses the user or the password",
    ),
    ("permission denied|readonly database", "it may not be written to"),
    ("unable to open database file", "its file cannot be opened, or its folder does not exist"),
    ("is not a database", "its file is not of SQLite"),
    ("is locked|lock timeout", "another process has locked it"),
    ("disk is full", "the disk is full"),
)


def _cause_of(error: Exception) -> str:
    """Return why a database cannot be used, without what the driver quotes of its URL."""
    original = getattr(error, "orig", None) or error
    said = str(original)
    for pattern, cause in _CAUSES:
        if re.search(pattern, said, re.IGNORECASE):
            return cause
    return type(original).__name__


def ask_password() -> str:
    """Ask for a password, or read the first line of what is piped in. It is never an argument."""
    if sys.stdin.isatty():
        password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return password
    return sys.stdin.readline().rstrip("\r\n")


def url_of(name: str, text: str) -> str:
    """Return a URL, which may be in an environment variable: all users see arguments."""
    if not text.startswith("env:"):
        return text
    variable = text.removeprefix("env:")
    if not (url := os.environ.get(variable)):
        fail(f"{name}: the environment variable {variable} is not set")
    return url


def day_of(seconds: int | None) -> str:
    """Return a day, or - for what has not been."""
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d")


def show(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table. What could change the terminal is not printed."""
    cells = [
        ["".join(c if c.isprintable() else "?" for c in cell) for cell in row]
        for row in [names, *rows]
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def fail(message: str) -> NoReturn:
    """Say what is wrong, and end."""
    typer.echo(message, err=True)
    raise typer.Exit(2)
