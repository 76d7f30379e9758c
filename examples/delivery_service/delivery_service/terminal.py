"""What the commands share: opening the service, asking, printing, and saying what is wrong."""

from __future__ import annotations

import os
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
def opened(*, is_migrated: bool = True, is_confirmed: bool = True) -> Generator[State]:
    """Open what the settings name, and say what is wrong in one line.

    Args:
        is_migrated: Whether the command needs the tables.
        is_confirmed: Whether to say so if nothing is sent from this database.
    """
    with errors_in_one_line():
        state = State.of(read_settings())
        try:
            if is_migrated and not check_tables(state.engine, state.outbox) and is_confirmed:
                typer.echo(_UNCONFIRMED, err=True)
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
        fail(str(error).replace("source=", "SOURCE").replace("target=", "TARGET"))
    except Problem as error:
        fail(error.detail)
    except ModuleNotFoundError as error:
        fail(f"{database} needs a package that is not installed: {error.name}")
    except (SQLAlchemyError, OSError) as error:
        why = type(getattr(error, "orig", None) or error).__name__
        fail(f"{database}: the database cannot be used: {why}")


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
