"""The options that several commands share."""

from __future__ import annotations

import argparse
import re
from functools import partial
from typing import TYPE_CHECKING, Final

from frappe_hooksig._frappe import FRAPPE, SECRET_SETTING
from frappe_hooksig._registered_urls import registered
from frappe_hooksig._timestamp import read_time
from frappe_hooksig.cli._outcome import WrongUse
from frappe_hooksig.cli._output import PROGRAM
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.scheme import Scheme

if TYPE_CHECKING:
    from frappe_hooksig.sending._schedule import RetrySchedule

_SCHEDULES: Final = ("QUICK", "FRAPPE", "STANDARD_WEBHOOKS")


def add_body(parser: argparse.ArgumentParser) -> None:
    """Add the file with the body."""
    parser.add_argument(
        "body",
        metavar="BODY",
        nargs="?",
        help="file with the raw body; - or nothing for standard input",
    )


def add_headers(parser: argparse.ArgumentParser, what: str = "a header of the request") -> None:
    """Add `-H`, which can be used more than once.

    Args:
        parser: The parser of a command.
        what: What the header is to the command.
    """
    parser.add_argument(
        "-H",
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        default=[],
        help=f"{what}; or @FILE, a file with one header on each line",
    )


def add_scheme(parser: argparse.ArgumentParser) -> None:
    """Add `--scheme`."""
    parser.add_argument(
        "--scheme",
        metavar="NAME",
        type=partial(scheme_named, "--scheme"),
        default=FRAPPE,
        help=f"how the sender signs: see {PROGRAM} providers (default: frappe)",
    )


def add_where(parser: argparse.ArgumentParser, method: str = "POST") -> None:
    """Add `--method` and `--url`.

    Args:
        parser: The parser.
        method: The default method, for the help.
    """
    parser.add_argument(
        "--method", help=f"the HTTP method, if the scheme signs it (default: {method})"
    )
    parser.add_argument(
        "--url", help="the URL that is registered with the sender, if the scheme signs it"
    )


def check_url(options: argparse.Namespace) -> None:
    """Refuse a URL that the scheme does not sign, an invalid one, and a missing one.

    Raises:
        ConfigurationError: The scheme signs no URL, or the URL is invalid.
        WrongUse: The scheme signs the URL, and `--url` is missing.
    """
    registered(options.scheme, options.url)
    if options.url is None and options.scheme.signs_url:
        msg = f"scheme {options.scheme.name!r} signs the URL: pass it with --url"
        raise WrongUse(msg)


def add_secrets(parser: argparse.ArgumentParser) -> None:
    """Add the options that name secrets: `-e`, `-f` and `--raw`."""
    group = parser.add_argument_group(
        "secrets",
        "You may name several, the newest first. The default, for Frappe only, is the\n"
        f"environment variable {SECRET_SETTING}.",
    )
    group.add_argument(
        "-e",
        "--secret-env",
        metavar="VARIABLE",
        dest="secrets",
        action="append",
        default=[],
        type=lambda name: ("variable", name),
        help="environment variable that contains the secret",
    )
    group.add_argument(
        "-f",
        "--secret-file",
        metavar="FILE",
        dest="secrets",
        action="append",
        type=lambda name: ("file", name),
        help="file that contains only the secret; a line end after it is ignored",
    )
    group.add_argument(
        "--raw",
        action="store_true",
        help="do not ignore the line end after a secret in a file: it is part of the secret",
    )


def add_json(parser: argparse.ArgumentParser, *, is_nested: bool = False) -> None:
    """Add `--json`.

    Args:
        parser: The parser of a command or of an action.
        is_nested: Whether the parser around it has the option, too.
    """
    default = argparse.SUPPRESS if is_nested else False
    parser.add_argument(
        "--json", action="store_true", default=default, help="print JSON, for programs"
    )


def moment(option: str, text: str) -> float:
    """Parse the time in an option into Unix seconds.

    Args:
        option: The option, for the error.
        text: Its value.

    Raises:
        WrongUse: The text is not a time.
    """
    is_seconds = re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text, re.ASCII)
    seconds = float(text) if is_seconds else read_time(text, "rfc3339")
    if seconds is None:
        msg = f"{option} must be Unix seconds, or a time such as 2026-11-22T08:00:00Z"
        raise WrongUse(msg)
    return seconds


def scheme_named(option: str, name: str) -> Scheme:
    """Return the scheme with a name.

    Args:
        option: The option or argument with the name, for the error.
        name: The name, or an alias.

    Raises:
        WrongUse: No scheme has this name.
    """
    from frappe_hooksig.providers import (
        get,
    )  # sixty-five schemes, which are not needed for Frappe's

    try:
        return get(name)
    except ConfigurationError as error:
        msg = f"{option}: {error}"
        raise WrongUse(msg) from error


def schedule_named(option: str, name: str) -> RetrySchedule:
    """Return the retry schedule with a name.

    Args:
        option: The option with the name, for the error.
        name: The name, in any case.

    Raises:
        WrongUse: No schedule has this name.
    """
    from frappe_hooksig.sending import _schedule as schedules

    known = name.upper().replace("-", "_")
    if known not in _SCHEDULES:
        msg = f"{option} must be one of {', '.join(_SCHEDULES)}"
        raise WrongUse(msg)
    schedule: RetrySchedule = getattr(schedules, known)
    return schedule
