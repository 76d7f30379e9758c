"""What a tenant may see: why there was no answer is the same for all that have none."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frappe_hooksig.outbox import AttemptRecord, DeliveryRecord, DeliveryState, EndpointNumbers
from frappe_hooksig.outbox._claims import claim
from frappe_hooksig.outbox._database import Connection
from frappe_hooksig.outbox._masking import MARGIN, masked
from frappe_hooksig.outbox._settling import Done, Terms, settle
from frappe_hooksig.sending import Attempt, RetrySchedule
from tests.outbox.places import Place, sqlite_place
from tests.outbox.post import DAY, Post, attempt, room

TIMEOUT = 15.0
BEGIN = 1_700_000_000_000  # milliseconds
STEP = 100_000  # longer than any pause of a failing endpoint
SCHEDULE = RetrySchedule((1.0,) * 4, jitter=0)
SENTENCE = (
    "the receiver gave no answer within 15 s: check the host and the port of the URL, the "
    "certificate, and how long the receiver takes"
)

# What a receiver that keeps silent is told of.
SILENCE = attempt("unreachable", reason="timeout", message="no whole response", seconds=15.003)
FAILURES = [
    attempt("blocked", reason="address-not-allowed", message="10.0.0.1 is private", seconds=0.0),
    attempt("blocked", reason="bad-url", message="no", seconds=0.0004),
    attempt("unreachable", reason="connection", message="refused", seconds=0.001),
    attempt("unreachable", reason="name-not-found", message="no host", seconds=0.0307),
    attempt("unreachable", reason="tls", message="no", seconds=0.2, address="93.184.215.14"),
]
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
UNANSWERED = st.sampled_from(FAILURES) | st.builds(
    attempt,
    st.sampled_from(["blocked", "unreachable"]),
    reason=TEXTS.filter(bool),
    message=TEXTS,
    seconds=st.floats(0, TIMEOUT + MARGIN),
    address=st.none() | TEXTS,
)
ANSWERED = attempt("refused", status=500, message="the receiver answered HTTP 500")


def done(claimed: Any, result: Attempt) -> Done:
    """Return what a dispatcher makes of an attempt without an answer."""
    return Done(claimed, result, max(0.0, TIMEOUT + MARGIN - result.seconds), is_hidden=True)


def looks(post: Post) -> list[object]:
    """Return all that a tenant sees now, without what differs between two outboxes."""
    outbox = post.outbox
    (endpoint,), deliveries = outbox.endpoints(), outbox.deliveries()
    shown: list[object] = [replace(outbox.for_tenant(endpoint), id="", created_at=0.0)]
    for each in deliveries:
        own = outbox.for_tenant(each)
        shown.append(replace(own, endpoint_id="", message_id="", sent_as="", created_at=0.0))
        shown += [outbox.for_tenant(it) for it in outbox.attempts(each.id)]
    return shown


def history(results: Sequence[Attempt | None]) -> list[object]:
    """Return what a tenant sees after each of some attempts; None is for one with an answer."""
    shown: list[object] = []
    with tempfile.TemporaryDirectory() as folder, closing(sqlite_place(Path(folder))) as place:
        post = Post(place)
        terms = {post.endpoint(order="key"): Terms(SCHEDULE, hold_ms=250_000)}
        post.publish(2, key="a")
        post.route()
        place.change("UPDATE hooksig_deliveries SET due_at = 0, set_at = 0")
        for number, result in enumerate(results):
            began = BEGIN + number * STEP

            def step(connection: Connection, result: Attempt | None = result) -> None:
                (claimed,) = claim(connection, began, room(quick=1)).claimed  # noqa: B023
                one = Done(claimed, ANSWERED) if result is None else done(claimed, result)
                settle(connection, began + 15_250, [one], terms, 5 * DAY)  # noqa: B023

            place.run(step)
            shown += looks(post)
    return shown


@settings(max_examples=40)
@given(st.lists(st.none() | UNANSWERED, min_size=1, max_size=10))
def test_all_silences_are_the_same(results: list[Attempt | None]) -> None:
    """Whatever the reasons are, a tenant sees what a receiver that keeps silent looks like."""
    silent = [result and SILENCE for result in results]

    assert history(results) == history(silent)


def test_the_rows_keep_the_truth(sqlite: Place) -> None:
    """An operator sees what it was; nothing is paused, and the schedule goes on."""
    post = Post(sqlite)
    post.endpoint()
    post.publish()
    post.route()
    (claimed,) = post.claims(room()).claimed

    events = post.place.run(
        lambda it: settle(
            it,
            BEGIN,
            [done(claimed, FAILURES[0])],
            {claimed.endpoint: Terms(SCHEDULE, 0)},
            5 * DAY,
        )
    )

    (delivery,), (endpoint,) = post.outbox.deliveries(), post.outbox.endpoints()
    (record,) = post.outbox.attempts(delivery.id)
    assert events == []
    assert (record.outcome, record.reason, record.seconds) == ("blocked", "address-not-allowed", 0)
    assert (record.message, delivery.message) == (FAILURES[0].message,) * 2
    assert record.started_at * 1000 == BEGIN - 15_250
    assert (str(delivery.state), delivery.due_at * 1000) == ("due", BEGIN + 1000)
    assert (endpoint.state, endpoint.failures) == ("active", 1)


ATTEMPT = AttemptRecord(
    number=1,
    started_at=1.0,
    seconds=0.5,
    outcome="refused",
    status=401,
    reason="signature-mismatch",
    message="the signature does not match",
    answer=b"{}",
    address="10.0.0.1",
)
DELIVERY = DeliveryRecord(
    id=1,
    message_id="msg_1",
    sent_as="msg_1",
    event_type="a",
    endpoint_id="ep_1",
    tenant="",
    key=None,
    state=DeliveryState.DUE,
    due_at=0.0,
    attempts=1,
    lost=0,
    is_set_aside=False,
    created_at=0.0,
    ended_at=None,
    status=None,
    reason="",
    message="",
)


def test_an_answer_stays() -> None:
    """What a receiver has answered is its own; where it was found is not shown."""
    assert masked(ATTEMPT, TIMEOUT) == replace(ATTEMPT, address=None)
    answered = replace(DELIVERY, status=401, reason="signature-mismatch", message="no")
    assert masked(answered, TIMEOUT) == answered


def test_no_answer() -> None:
    """One reason and one sentence say what the tenant can look at."""
    silent = replace(ATTEMPT, outcome="blocked", status=None, reason="tls", message="10.0.0.1")

    assert masked(silent, 2.5) == replace(
        silent,
        seconds=2.5,
        outcome="unreachable",
        reason="no-answer",
        message=SENTENCE.replace("15 s", "2.5 s"),
        answer=b"",
        address=None,
    )


@pytest.mark.parametrize(
    "reason",
    [
        *("", "worker-lost", "endpoint-deleted", "bad-payload", "misconfigured"),
        *("secret-missing", "key-missing"),
    ],
)
def test_other_reasons_of_a_delivery(reason: str) -> None:
    """What is no attempt stays."""
    delivery = replace(DELIVERY, reason=reason, message="why")

    assert masked(delivery, TIMEOUT) == delivery


@pytest.mark.parametrize("reason", ["address-not-allowed", "tls", "one of a later release"])
def test_reason_of_a_delivery(reason: str) -> None:
    """The reason of its last attempt is hidden like that of the attempt."""
    shown = masked(replace(DELIVERY, reason=reason, message="10.0.0.1"), TIMEOUT)

    assert (shown.reason, shown.message) == ("no-answer", SENTENCE)


def test_dead_letter() -> None:
    """That it is given up is shown, and why is not."""
    message = "the last of 3 attempts failed: no connection: Connection refused"
    dead = replace(DELIVERY, reason="exhausted", message=message)

    shown = masked(dead, TIMEOUT)

    assert shown.reason == "exhausted"
    assert shown.message == f"the last of 3 attempts failed: {SENTENCE}"
    assert masked(replace(dead, status=500), TIMEOUT).message == message


def test_endpoint(sqlite: Place) -> None:
    """One that was paused for its address before `untrusted_urls` does not say so."""
    post = Post(sqlite)
    endpoint = post.endpoint()
    post.outbox.pause(endpoint, "until Monday")
    paused = post.outbox.endpoint(endpoint)
    blocked = replace(paused, reason="address-not-allowed", message="10.0.0.1 is private")

    assert post.outbox.for_tenant(paused) == paused
    shown = post.outbox.for_tenant(blocked)
    assert (shown.state, shown.reason, shown.message) == ("paused", "no-answer", SENTENCE)


def test_numbers() -> None:
    """How long attempts took is not shown, because it says when they had no answer."""
    numbers = EndpointNumbers(
        endpoint_id="ep_1",
        due=1,
        oldest_due=1.0,
        scheduled=1,
        dead=1,
        attempts=2,
        delivered=1,
        mean_seconds=0.1,
        longest_seconds=0.2,
    )

    shown = masked(numbers, TIMEOUT)

    assert shown == replace(numbers, mean_seconds=None, longest_seconds=None)
