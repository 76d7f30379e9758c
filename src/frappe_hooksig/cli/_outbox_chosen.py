"""The options that choose deliveries."""

from __future__ import annotations

import argparse
import re
import time
from functools import partial
from typing import Any, Final

from frappe_hooksig.cli._options import moment
from frappe_hooksig.cli._outcome import WrongUse

_UNITS: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_AGO: Final = re.compile(r"(?:\d{1,6}[dhms])+", re.ASCII)
_ENDPOINT: Final = re.compile(r"ep_[0-9a-f]{24}")
_MESSAGE: Final = re.compile(r"msg_[0-9a-f]{32}")
_DELIVERY: Final = re.compile(r"[1-9][0-9]{0,17}")


def add_chosen(parser: argparse.ArgumentParser, states: tuple[str, ...], default: str) -> None:
    """Add `--message`, `--endpoint`, `--state`, `--since` and `--until`.

    Args:
        parser: The parser of an action.
        states: The states that may be named.
        default: Which ones are meant without `--state`, for the help.
    """
    parser.add_argument(
        "--message",
        metavar="ID",
        type=partial(message_id, "--message"),
        help="only those of a message; also by the id that receivers saw",
    )
    parser.add_argument(
        "--endpoint",
        metavar="ID",
        type=partial(endpoint_id, "--endpoint"),
        help="only those for an endpoint",
    )
    parser.add_argument(
        "--state",
        dest="states",
        action="append",
        type=partial(_state, states),
        help=f"only those in a state: {', '.join(states)}; several times for several "
        f"(default: {default})",
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        type=partial(_moment, "--since"),
        help="only those of messages that were published since then: a time such as "
        "2026-11-22T08:00:00Z, Unix seconds, or how long ago, such as 2h or 30m",
    )
    parser.add_argument(
        "--until",
        metavar="TIME",
        type=partial(_moment, "--until"),
        help="only those of messages that were published until then",
    )


def chosen(options: argparse.Namespace) -> dict[str, Any]:
    """Return what was chosen, as arguments of `Outbox`."""
    names = ("message", "endpoint", "states", "since", "until")
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def endpoint_id(option: str, text: str) -> str:
    """Return the id of an endpoint.

    Raises:
        WrongUse: It is none. The message has nothing of it.
    """
    if not _ENDPOINT.fullmatch(text):
        msg = (
            f"{option} must be the id of an endpoint (ep_...): see frappe-hooksig outbox endpoints"
        )
        raise WrongUse(msg)
    return text


def message_id(option: str, text: str) -> str:
    """Return the id of a message.

    Raises:
        WrongUse: It is none. The message has nothing of it.
    """
    if not _MESSAGE.fullmatch(text):
        msg = f"{option} must be the id of a message (msg_...): see frappe-hooksig outbox list"
        raise WrongUse(msg)
    return text


def delivery_id(option: str, text: str) -> int:
    """Return the number of a delivery.

    Raises:
        WrongUse: It is none. The message has nothing of it.
    """
    if not _DELIVERY.fullmatch(text):
        msg = f"{option} must be the number of a delivery: see frappe-hooksig outbox list"
        raise WrongUse(msg)
    return int(text)


def any_id(text: str) -> str | int:
    """Return the id of an endpoint or a message, or the number of a delivery.

    Raises:
        WrongUse: It is none of them. The message has nothing of it.
    """
    if _ENDPOINT.fullmatch(text) or _MESSAGE.fullmatch(text):
        return text
    if _DELIVERY.fullmatch(text):
        return int(text)
    msg = (
        "ID must be the number of a delivery, or the id of a message (msg_...) or endpoint (ep_...)"
    )
    raise WrongUse(msg)


def _state(states: tuple[str, ...], text: str) -> str:
    if text not in states:
        msg = f"--state must be one of {', '.join(states)}"
        raise WrongUse(msg)
    return text


def _moment(option: str, text: str) -> float:
    """Return a time, which may be so long ago."""
    if not _AGO.fullmatch(text):
        try:
            return moment(option, text)
        except WrongUse as error:
            msg = f"{error}, or how long ago, such as 2h or 30m"
            raise WrongUse(msg) from None
    parts = re.findall(r"(\d+)([dhms])", text)
    return time.time() - sum(int(count) * _UNITS[unit] for count, unit in parts)
