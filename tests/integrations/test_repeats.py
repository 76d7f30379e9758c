"""Each sender's retries at a route with a store: which are recognised, and that the docs say so."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

import pytest
from docs.write_providers import PAGE

from frappe_hooksig import Scheme, Signer, Verifier, providers
from frappe_hooksig.replay import MemoryStore
from frappe_hooksig.replay._callers import BLOCKING
from frappe_hooksig.replay._steps import run
from tests.receivers import Incoming, make_receiver
from tests.senders import WHERE, secret_of

SCHEMES = [*map(providers.get, providers.names())]
BODY = b'{"id": "evt_1", "event_id": "evt_1"}'
WARNING = "store= cannot recognise the retries of scheme"


def attempts(scheme: Scheme) -> list[Incoming]:
    """Return one delivery of a sender, signed a minute ago and signed now."""
    now = time.time()
    more: dict[str, Any] = {"id": "msg_1"} if scheme.id_header else {}
    event = {scheme.event_header: "order.created"} if scheme.event_header else {}
    signers = [
        Signer(secret_of(scheme), scheme=scheme, clock=clock)
        for clock in (lambda: now - 60, lambda: now)
    ]
    return [
        Incoming(signer.sign(BODY, **WHERE, **more).headers | event, BODY) for signer in signers
    ]


def handled(scheme: Scheme) -> int:
    """Return how often a route with a store runs its handler for both attempts."""
    receiver = make_receiver(
        scheme,
        secret=secret_of(scheme),
        store=MemoryStore(),
        url=WHERE["url"] if scheme.signs_url else None,
        unsigned_events=["order.created"] if scheme.event_header else None,
    )
    calls: list[object] = []

    def view() -> int:
        calls.append(None)
        return 200

    for attempt in attempts(scheme):
        run(receiver.handle(BLOCKING, attempt, "view", view))
    return len(calls)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_delivery_that_is_signed_twice(scheme: Scheme) -> None:
    """It is handled once if its scheme knows what both attempts have in common."""
    is_recognised = scheme.dedup_by is not None or not scheme.signs_timestamp

    assert handled(scheme) == (1 if is_recognised else 2)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_page(scheme: Scheme) -> None:
    """The page says by what the retries of each sender are recognised, or that they are not."""
    _, _, table = PAGE.read_text("utf-8").partition("<!-- repeats -->")
    (row,) = (
        line
        for line in table.splitlines()
        if line.startswith((f"| [{scheme.title}]", f"| {scheme.title} |"))
    )
    expected = {
        "id": "signed id",
        "body-id": f"`{scheme.body_id}` in the body",
        "content": "content",
        None: "**not recognised**",
    }

    assert row.split(" | ")[3].startswith(expected[scheme.dedup_by])
    assert (scheme.event_header or "|") in row


@pytest.mark.parametrize(
    ("name", "dedup_by"),
    [
        ("svix", "id"),
        ("stripe", "body-id"),
        ("intercom", "body-id"),
        ("github", "content"),
        ("gitlab", "content"),
        ("woocommerce", "content"),
        ("line", None),
        ("calendly", None),
        ("cashfree", None),
        ("cloudflare-stream", None),
        ("hubspot-v3", None),
        ("tailscale", None),
        ("webhook-timestamped", None),
        ("zendesk", None),
        ("zoom", None),
    ],
)
def test_dedup_by(name: str, dedup_by: str | None) -> None:
    """What identifies a delivery follows from what is signed."""
    assert providers.get(name).dedup_by == dedup_by


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_warning(scheme: Scheme, caplog: pytest.LogCaptureFixture) -> None:
    """A route with a store says at start that it cannot recognise retries; one without does not."""
    options: dict[str, Any] = {"secret": secret_of(scheme)}
    options["url"] = WHERE["url"] if scheme.signs_url else None
    options["unsigned_events"] = ["order.created"] if scheme.event_header else None

    with caplog.at_level(logging.WARNING):
        make_receiver(scheme, **options)
        assert WARNING not in caplog.text
        make_receiver(scheme, store=MemoryStore(), **options)
    assert (f"{WARNING} {scheme.name!r}" in caplog.text) == (scheme.dedup_by is None)


def test_id_that_the_user_knows() -> None:
    """Who knows where the id stands in all payloads names it, and each delivery is handled once."""
    zoom = replace(providers.ZOOM, body_id="/event_id")

    assert handled(zoom) == 1
    assert handled(providers.ZOOM) == 2
    assert Verifier(secret_of(zoom), scheme=zoom).scheme.dedup_by == "body-id"
