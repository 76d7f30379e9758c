"""What an outbox tells, and the lines about it."""

from __future__ import annotations

import logging
from threading import Event
from typing import Any, get_args

import pytest

from frappe_hooksig.observe import OutboxEvent, OutboxKind, log
from frappe_hooksig.observe._threads import Observers

KINDS = get_args(OutboxKind)
ERRORS = {"paused", "disabled", "dead-letter", "unconfirmed"}


@pytest.mark.parametrize("kind", KINDS)
def test_levels(kind: OutboxKind, caplog: pytest.LogCaptureFixture) -> None:
    """Each kind has a line; what somebody has to do something about is an error."""
    caplog.set_level(logging.INFO)

    log(OutboxEvent(kind=kind, reason="why", message="because"))

    (record,) = caplog.records
    assert record.getMessage() == f"outbox {kind}, why: because"
    assert (record.levelno == logging.ERROR) == (kind in ERRORS)
    assert (record.levelno == logging.INFO) == (kind == "recovered")


@pytest.mark.parametrize(
    ("options", "about"),
    [
        ({"endpoint_id": "ep_1"}, " (endpoint ep_1)"),
        ({"message_id": "msg_1"}, " (id msg_1)"),
        ({"endpoint_id": "ep_1", "message_id": "msg_1"}, " (endpoint ep_1, id msg_1)"),
    ],
)
def test_line(options: dict[str, Any], about: str, caplog: pytest.LogCaptureFixture) -> None:
    """A line says which endpoint and message it is about, and has each fact as an attribute."""
    event = OutboxEvent(kind="dead-letter", reason="exhausted", message="no", **options)

    log(event)

    (record,) = caplog.records
    assert record.getMessage() == f"outbox dead-letter, exhausted{about}: no"
    facts = ("kind", "endpoint_id", "message_id", "reason", "message")
    assert [vars(record)[f"webhook_{each}"] for each in facts] == [
        getattr(event, each) for each in facts
    ]


def test_observer() -> None:
    """An observer gets the event in a thread of its own; `log` is not called there."""
    seen: list[OutboxEvent] = []
    is_told = Event()

    def observe(event: OutboxEvent) -> None:
        seen.append(event)
        is_told.set()

    observers = Observers([log, observe])
    event = OutboxEvent(kind="lost")

    observers.wait_here(observers.tell(event))

    assert is_told.wait(30)
    assert seen == [event]
    assert (observers.has_log, observers.sees_all, observers.raw) == (True, True, [])
