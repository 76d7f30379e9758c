"""What an outbox tells of its endpoints, messages, deliveries and attempts, frozen and discreet."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from frappe_hooksig.outbox import (
    AttemptRecord,
    DeliveryRecord,
    DeliveryState,
    Endpoint,
    EndpointNumbers,
    Formatted,
    Message,
    Numbers,
    Outbox,
    OutgoingMessage,
)
from tests.outbox.places import URL, Place

RECORDS = [AttemptRecord, DeliveryRecord, Endpoint, EndpointNumbers, Message, Numbers]
RECORDS += [Formatted, OutgoingMessage]


@pytest.mark.parametrize("record", RECORDS)
def test_attributes_are_documented(record: type) -> None:
    """Each attribute is in the docstring, and nothing else is."""
    text = str(record.__doc__).partition("Attributes:")[2]
    named = [line.strip().partition(":")[0] for line in text.splitlines() if line[:9].strip(" ")]
    names = [field.name for field in dataclasses.fields(record)]

    assert [name for name in named if name.isidentifier()] == names


@pytest.mark.parametrize("record", RECORDS)
def test_frozen(record: type) -> None:
    """A record is what was found; changing it would change nothing."""
    parameters = record.__dataclass_params__  # type: ignore[attr-defined]

    assert parameters.frozen
    assert not hasattr(record, "__dict__") or "__slots__" in vars(record)


def test_records_can_be_pickled(sqlite: Place) -> None:
    """A job queue may carry them."""
    outbox = sqlite.outbox()
    endpoint = outbox.add_endpoint(URL, secret_from="env:A")
    message = outbox.message(sqlite.publish(outbox, "a", {}))
    sqlite.route()
    found: list[object] = [endpoint, message, outbox.numbers(), *outbox.deliveries()]

    assert pickle.loads(pickle.dumps(found)) == found


def test_names_of_states() -> None:
    """They are what lists and filters of an outbox take."""
    names = [str(each) for each in DeliveryState]

    assert names == ["waiting", "due", "claimed", "delivered", "dead", "cancelled"]
    assert [each.is_final for each in DeliveryState] == [False] * 3 + [True] * 3


def test_numbers_of_states() -> None:
    """They are in the rows, so they never change."""
    assert [int(each) for each in DeliveryState] == [0, 1, 2, 3, 4, 5]


def test_states_of_an_endpoint(sqlite: Place) -> None:
    """An endpoint tells its state as a word."""
    outbox: Outbox = sqlite.outbox()
    endpoint = outbox.add_endpoint(URL, secret_from="env:A").id
    states = [outbox.endpoint(endpoint).state]
    outbox.pause(endpoint)
    states.append(outbox.endpoint(endpoint).state)

    assert states == ["active", "paused"]
