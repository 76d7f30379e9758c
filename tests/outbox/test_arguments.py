"""What an outbox is made of: each argument that cannot be used is refused at once."""

from __future__ import annotations

import math
import traceback
from pathlib import Path
from typing import Any

import pytest

import frappe_hooksig
from frappe_hooksig import ConfigurationError
from frappe_hooksig.outbox import Formatted, Outbox, OutgoingMessage
from tests.outbox.places import Place

PACKAGE = str(Path(frappe_hooksig.__file__).parent)
PASSWORD = "Qv3r0mZ8tYp5"


async def in_a_task(message: OutgoingMessage) -> Formatted:
    """Return the payload as it is, but only in an event loop."""
    return Formatted(message.payload)


BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"timeout": 0}, "timeout= must be a number from 0.1 to 60"),
    ({"timeout": 61}, "timeout= must be a number from 0.1 to 60"),
    ({"timeout": "15"}, "timeout= must be a number from 0.1 to 60"),
    ({"max_payload": 0}, "max_payload= must be a whole number from 1 to"),
    ({"retention": 59}, "retention= must be a number from 60 to"),
    ({"disable_after": 59}, "disable_after= must be a number from 60 to"),
    ({"disable_after": math.inf}, "disable_after= must be a number from 60 to"),
    ({"lease": 0.4}, "lease= must be a number from 0.5 to 3600"),
    ({"lease": 3601}, "lease= must be a number from 0.5 to 3600"),
    ({"proxy": f"socks5://user:{PASSWORD}@proxy:1"}, "proxy"),
    ({"proxy": f"http://user:{PASSWORD}@proxy:{PASSWORD}"}, "proxy"),
    ({"guard": None}, "guard="),
    ({"ssl_context": "default"}, "ssl_context="),
    ({"observe": "log"}, "observe="),
    ({"observe_attempts": "log"}, "observe="),
    ({"keys": ["no key"]}, "keys="),
    ({"references": {"encrypted": str}}, "references="),
    ({"formats": [str]}, "formats= must be a dict with a function for each name"),
    ({"formats": {"in an envelope": str}}, "formats= must be a dict with a function"),
    ({"formats": {"e" * 65: str}}, "formats= must be a dict with a function"),
    ({"formats": {7: str}}, "formats= must be a dict with a function"),
    ({"formats": {"envelope": "str"}}, "formats= must be a dict with a function"),
    ({"formats": {"envelope": in_a_task}}, "formats= has an async function, envelope"),
    ({"installation": ""}, "installation="),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS, ids=lambda each: str(each)[:30])
def test_arguments_that_cannot_be_used(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    """None waits until something is to be sent, and no password is shown."""
    beside = {"proxy": f"http://user:{PASSWORD}@proxy:3128", **arguments}

    with pytest.raises(ConfigurationError, match=message) as caught:
        Outbox(tmp_path / "outbox.sqlite3", **beside)

    stack = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    ours = [str(each.locals) for each in stack if each.filename.startswith(PACKAGE)]
    assert ours
    assert PASSWORD not in f"{caught.value!r} {caught.value.__context__!r} {ours}"


def test_an_argument_that_does_not_exist(tmp_path: Path) -> None:
    """Python's own error is not in the way, and shows nothing either."""
    with pytest.raises(TypeError, match="password") as caught:
        Outbox(tmp_path / "outbox.sqlite3", password=PASSWORD)  # type: ignore[call-arg]

    stack = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    ours = [str(each.locals) for each in stack if each.filename.startswith(PACKAGE)]
    assert PASSWORD not in f"{ours}"


def test_it_is_not_connected_to_before_it_is_used(tmp_path: Path) -> None:
    """So it can be made before a process forks."""
    path = tmp_path / "outbox.sqlite3"

    Outbox(path)

    assert not path.exists()


def test_close(place: Place) -> None:
    """After that, it can still be used."""
    outbox = place.outbox()
    outbox.close()

    assert outbox.endpoints() == []


def test_ring_without_workers(sqlite: Place) -> None:
    """Nobody is there to hear it."""
    sqlite.outbox().ring()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"slots": 0}, "slots="), ({"slots": 501}, "slots="), ({"budget": -1}, "budget=")],
    ids=str,
)
def test_drain_with_what_cannot_be_used(
    sqlite: Place, options: dict[str, Any], message: str
) -> None:
    """The bounds are those of a worker."""
    outbox = sqlite.outbox()

    with pytest.raises(ConfigurationError, match=message):
        outbox.drain(**options)
