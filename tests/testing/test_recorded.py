"""Recorded events: they are those of the vectors, byte for byte, and can be signed anew."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from frappe_hooksig import ConfigurationError, Scheme, Verifier, providers
from frappe_hooksig.testing import RecordedEvent, recorded_events
from tests.senders import WHERE, secret_of
from tests.test_redaction import frames_of_ours
from tests.vectors import Vector, frappe_captures, provider_vectors, rewritten_secrets
from tests.vectors.recorded_events import PATH, written

# What an HTTP client writes by itself.
FRAMING = {"host", "content-length", "transfer-encoding"}

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
EVENTS = recorded_events()
CAPTURED = {each.source.removeprefix("capture "): each for each in EVENTS if each.version}


def sent(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return headers without those that an HTTP client writes by itself."""
    return [(name, value) for name, value in headers if name.lower() not in FRAMING]


def test_file_is_written() -> None:
    """The file of the package is that of the vectors: else run its module in tests/vectors."""
    assert PATH.read_text("utf-8") == written()


def test_all_captures() -> None:
    """Every captured request is there with its body."""
    assert {name: each.body for name, each in CAPTURED.items()} == {
        capture.id: capture.body for capture in frappe_captures()
    }


@pytest.mark.parametrize(
    ("capture", "secret"),
    [(each, each.secret) for each in frappe_captures() if each.expect == "accept"]
    + rewritten_secrets(),
    ids=lambda value: value.id if isinstance(value, Vector) else "",
)
def test_signed_as_it_was(capture: Vector, secret: str) -> None:
    """With the secret of the site, a request is the same again, in each byte of its headers."""
    request = CAPTURED[capture.id].signed(secret)

    assert request.headers == sent(capture.headers)
    assert request.body == capture.body
    assert request.method == capture.method


@pytest.mark.parametrize("event", EVENTS, ids=lambda each: f"{each.scheme.name}-{each.source}")
def test_verified(event: RecordedEvent) -> None:
    """Signed with any secret, every event is genuine."""
    secret, url = secret_of(event.scheme), WHERE["url"] if event.scheme.signs_url else None
    request = event.signed(secret, url=url)
    verifier = Verifier(secret, scheme=event.scheme)

    delivery = verifier.verify(
        request.body, request.headers, method=request.method, url=request.url
    )
    assert delivery.body == event.body


@pytest.mark.parametrize(
    "event",
    [each for each in EVENTS if not each.version and not each.source.startswith("written for")],
    ids=lambda each: each.source,
)
def test_vendors_examples(event: RecordedEvent) -> None:
    """The body and the headers of a vendor's example are those that it published."""
    published = [
        (each.body, {*each.headers})
        for each in provider_vectors()
        if each.provider == event.scheme.name
    ]

    matching = [headers for body, headers in published if body == event.body]
    assert any(headers >= {*event.headers} for headers in matching)


@pytest.mark.parametrize(
    ("scheme", "name", "headers"),
    [
        (providers.GITHUB, "push", {"X-GitHub-Event": "push", "Content-Type": "application/json"}),
        (providers.STRIPE, "invoice.paid", {"Content-Type": "application/json; charset=utf-8"}),
    ],
    ids=["github", "stripe"],
)
def test_written_for_this_package(scheme: Scheme, name: str, headers: dict[str, str]) -> None:
    """Where a vendor publishes nothing that a handler can use, the first event is ours."""
    first, *_ = recorded_events(scheme)

    assert (first.name, {*first.headers}) == (name, {*headers.items()})
    page = "written for this package, after the vendor's documentation: https://docs."
    assert first.source.startswith(page)
    assert isinstance(json.loads(first.body), dict)


def test_id_and_time() -> None:
    """A retry can be signed as the first attempt was."""
    [event] = recorded_events(providers.SVIX, event="ping")
    secret = secret_of(providers.SVIX)

    one, two = (event.signed(secret, id="msg_1", timestamp=1_700_000_000) for _ in range(2))
    assert one.headers == two.headers
    assert ("svix-id", "msg_1") in one.headers


@pytest.mark.parametrize(
    ("version", "sources"),
    [
        (None, ["v16/json-array#1", "v15/json-array#1", "v14/json-array#1", "v13/json-array#1"]),
        (13, ["v13/json-array#1"]),
    ],
)
def test_versions(version: int | None, sources: list[str]) -> None:
    """An event may be there of several versions of Frappe, the newest first."""
    found = recorded_events(providers.FRAPPE, version=version, event="array")

    assert [each.source for each in found] == [f"capture {source}" for source in sources]


def test_usual_events() -> None:
    """Those of Frappe come first, and vendors have no others. Each version has a name once."""
    is_usual = [each.is_usual for each in recorded_events(providers.FRAPPE)]

    assert EVENTS[0].name == "saved"
    assert is_usual == sorted(is_usual, reverse=True)
    assert {each.scheme.name for each in EVENTS if not each.is_usual} == {"frappe"}
    names = [(each.scheme.name, each.version, each.name) for each in EVENTS]
    assert len({*names}) == len(names)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"event": "no such event"}, "no such event is recorded: "),
        ({"event": "submited"}, "did you mean 'submitted'?"),
        ({"event": "saved", "version": 13}, "no such event is recorded: "),
        (
            {"scheme": providers.GITHUB, "event": "?"},
            "there are push, text, json, escapes, backslash",
        ),
        ({"version": 12}, "no events of this version are recorded"),
        ({"version": 12, "event": "saved"}, "no events of this version are recorded"),
        ({"version": 1}, "no events of this version are recorded"),
        ({"scheme": providers.GITHUB, "version": 16}, "no events of this version are recorded"),
        ({"scheme": providers.get("asana")}, "no events of Asana are recorded"),
        ({"scheme": providers.get("asana"), "event": "a"}, "no events of Asana are recorded"),
    ],
    ids=str,
)
def test_nothing_found(wanted: dict[str, Any], message: str) -> None:
    """What is not recorded is an error that says what there is, and no empty list of cases."""
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        recorded_events(**wanted)


def test_secret_is_not_shown() -> None:
    """A secret that cannot be used does not stand in a frame of the error."""
    [event] = recorded_events(providers.SVIX, event="ping")

    with pytest.raises(ConfigurationError) as caught:
        event.signed(f"whsec_{SECRET}!")
    assert SECRET not in frames_of_ours(caught.value)


def test_repr() -> None:
    """It tells an event from others, in a line."""
    [first, *_], [ping] = recorded_events(), recorded_events(event="ping")

    assert repr(first) == "<RecordedEvent frappe saved of 16.0.0-dev>"
    assert repr(ping) == "<RecordedEvent svix ping>"
