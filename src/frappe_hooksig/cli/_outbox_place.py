"""Where an outbox is, and opening it."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from frappe_hooksig.cli._excerpt import plain
from frappe_hooksig.cli._outcome import WrongUse
from frappe_hooksig.exceptions import ConfigurationError

if TYPE_CHECKING:
    from frappe_hooksig.outbox import Outbox
    from frappe_hooksig.outbox._database import Database

#: The environment variable with the path or the URL of the outbox.
PLACE: Final = "HOOKSIG_OUTBOX"
#: The environment variable with the keys of what is stored encrypted.
KEYS: Final = "HOOKSIG_OUTBOX_KEYS"

_APP: Final = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
# What SQLAlchemy takes for a user and a password: everything up to the first @.
_PASSWORD: Final = re.compile(r"[^:]*://[^:/]*:[^@]*@|.*[?&]\w*passw", re.DOTALL)
_URL: Final = re.compile(r"([^:]*://)(?:[^@]*@)?([^?]*).*", re.DOTALL)

# How the arguments of `Outbox` are written here, unless by the same name.
_ARGUMENTS: Final = {
    "keys": KEYS,
    "url": "URL",
    "event_types": "--event-type",
    "headers_from": "--header-from",
    "schedule": "--retry",
    "states": "--state",
}


class Refused(Exception):
    """There is no such thing, or the outbox refuses it: exit status 1."""


def add_place(parser: argparse.ArgumentParser, *, is_nested: bool = False) -> None:
    """Add `--database`, `--app` and `--installation`.

    Args:
        parser: The parser of an action.
        is_nested: Whether the parser around it has the same options.
    """
    default = argparse.SUPPRESS if is_nested else None
    group = parser.add_argument_group(
        "where the outbox is",
        f"The default is the environment variable {PLACE}, with a path or a URL. Keys for what\n"
        f"is stored encrypted are in {KEYS}, separated by commas.",
    )
    group.add_argument(
        "--database",
        metavar="PATH_OR_URL",
        default=default,
        help="the path of a SQLite file, or the URL of a database (postgresql+psycopg://...), "
        "which needs SQLAlchemy",
    )
    group.add_argument(
        "--app",
        metavar="MODULE:NAME",
        default=default,
        help="the Outbox of an app, with the keys, the guard and the rest that the app has given "
        "it; the module is looked for in the working directory first",
    )
    group.add_argument(
        "--installation",
        metavar="NAME",
        default=default,
        help="the name of this installation, if the workers have one",
    )


@contextmanager
def opened(
    options: argparse.Namespace, *, creates: bool = False, is_ready: bool = True, **arguments: Any
) -> Generator[Outbox]:
    """Open the outbox that the options name, and close it after the block.

    Args:
        options: The parsed options.
        creates: Whether the file of SQLite is created if there is none.
        is_ready: Whether the tables must have the version of this release.
        arguments: Further arguments of `Outbox`, as the options have them. None is not given.

    Raises:
        WrongUse: It cannot be opened, its database fails, or it refuses an option.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    if options.installation is not None:
        given["installation"] = options.installation
    try:
        outbox = _outbox(options, given, creates=creates)
        database: Database = outbox._database  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        try:
            if is_ready:
                outbox.is_confirmed()  # which refuses a database without tables
            yield outbox
        except database.errors as error:
            raise WrongUse(problem_of(error)) from None
        finally:
            outbox.close()
    except ConfigurationError as error:
        raise WrongUse(in_options(str(error))) from None


def in_options(message: str) -> str:
    """Return a message of the library with the options of the command.

    >>> in_options("rate= must be a number from 0.001 to 1000")
    '--rate must be a number from 0.001 to 1000'
    """
    return re.sub(r"\b([a-z_]+)=(?![\w\"'])", lambda found: _option(found[1]), message)


def place_of(options: argparse.Namespace) -> str:
    """Return where the outbox is, for people: without user, password and query of a URL."""
    if options.app is not None:
        return f"the outbox {options.app}"
    place = str(_place(options)[1])
    found = _URL.fullmatch(place)
    return plain(place if found is None else f"{found[1]}{found[2].rpartition('@')[2]}")


def _option(argument: str) -> str:
    return _ARGUMENTS.get(argument) or f"--{argument.replace('_', '-')}"


def _outbox(options: argparse.Namespace, given: dict[str, Any], *, creates: bool) -> Outbox:
    if options.app is not None:
        if options.database is not None:
            msg = "--app has a database of its own: leave out --database"
            raise WrongUse(msg)
        if given:
            names = ", ".join(_GIVEN.get(each) or _option(each) for each in given)
            msg = f"--app: the app itself decides this: leave out {names}"
            raise WrongUse(msg)
        return _of_app(options.app)
    from frappe_hooksig.outbox import Outbox

    keys = [each.strip() for each in os.environ.get(KEYS, "").split(",") if each.strip()]
    option, place = _place(options)
    try:
        return Outbox(_database(option, place, creates=creates), keys=keys, **given)
    except ModuleNotFoundError as error:  # of an extra
        raise WrongUse(str(error)) from None


#: The options that become other arguments of `Outbox`.
_GIVEN: Final = {"guard": "--allow"}


def _place(options: argparse.Namespace) -> tuple[str, str]:
    """Return the option with the path or URL, and its value."""
    found = named_place("--database", options.database, PLACE)
    if found is None:
        msg = f"where is the outbox? Name it with --database, {PLACE} or --app"
        raise WrongUse(msg)
    return found


def named_place(option: str, given: str | None, variable: str) -> tuple[str, str] | None:
    """Return the option or the variable that has a path or a URL, and its value.

    Raises:
        WrongUse: The option has a password.
    """
    if given is not None:
        if _PASSWORD.match(given):
            msg = (
                f"{option}: a password among the arguments can be read by every user of this "
                f"machine: put the URL into the environment variable {variable}"
            )
            raise WrongUse(msg)
        return option, given
    place = os.environ.get(variable)
    return (variable, place) if place else None


def is_path(option: str, place: str, *, creates: bool) -> bool:
    """Whether a place is the path of a file, and not a URL.

    Raises:
        WrongUse: There is no such file, and none is created; or the URL cannot be read.
    """
    if "://" not in place:
        if not creates and not os.path.isfile(place):  # noqa: PTH113  # pathlib is not loaded yet
            msg = f"{option}: there is no such file: `frappe-hooksig outbox init` creates it"
            raise WrongUse(msg)
        return True
    if place.count("@") > 1:
        # SQLAlchemy would take a part of the password for the host, and show it in errors.
        msg = f"{option}: write %40 for each @ of the URL but the one before the host"
        raise WrongUse(msg)
    return False


def _database(option: str, place: str, *, creates: bool) -> Database | str:
    if is_path(option, place, creates=creates):
        return place
    from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase

    try:
        return SQLAlchemyDatabase(place)
    except ModuleNotFoundError as error:
        msg = f"{option}: the driver of the database is not installed: {error.name}"
        raise WrongUse(msg) from None


def _of_app(name: str) -> Outbox:
    found = _APP.fullmatch(name)
    if found is None:
        msg = "--app must have the form module:name, such as shop.webhooks:outbox"
        raise WrongUse(msg)
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  # pathlib is not loaded yet
    try:
        value: Any = import_module(found[1])
    except Exception as error:  # noqa: BLE001  # the app's own code runs
        raise WrongUse(_import_problem(error, found[1])) from None
    for each in found[2].split("."):
        value = getattr(value, each, None)
    from frappe_hooksig.outbox import Outbox

    if not isinstance(value, Outbox):
        msg = "--app: the module has no Outbox of this name"
        raise WrongUse(msg)
    return value


def _import_problem(error: Exception, module: str) -> str:
    """Return why an app cannot be imported, without the error's text: it may have a setting."""
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        return "--app: there is no such module, neither in the working directory nor installed"
    missing = f" ({error.name})" if isinstance(error, ModuleNotFoundError) else ""
    return f"--app: importing the module raises {type(error).__name__}{missing}{_line_of(error)}"


def _line_of(error: Exception) -> str:
    """Return the last line of a file that has led to an error."""
    if isinstance(error, SyntaxError):
        return f" at {error.filename}:{error.lineno}"
    import traceback

    frames = traceback.extract_tb(error.__traceback__, limit=-50)
    lines = [f" at {each.filename}:{each.lineno}" for each in frames if each.filename[:1] != "<"]
    return lines[-1]


def problem_of(error: Exception) -> str:
    """Return what is wrong with a database, without the values of a statement."""
    import sqlite3

    original = getattr(error, "orig", None) or error
    kind = type(original).__name__
    # Of a server, it says why it cannot be reached. Other errors quote values of a row.
    is_harmless = isinstance(original, sqlite3.Error) or kind == "OperationalError"
    said = f": {plain(str(original).partition(chr(10))[0])}" if is_harmless else ""
    return f"the database of the outbox cannot be used: {kind}{said}"
