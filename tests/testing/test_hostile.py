"""What strangers send: this package answers each case as the case says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Any

import pytest
from flask import Flask

from frappe_hooksig import ConfigurationError, Reason, VerificationError, Verifier, providers
from frappe_hooksig.integrations.flask import verify_webhook
from frappe_hooksig.replay import MemoryStore
from frappe_hooksig.testing import HostileCase, SignedRequest, hostile_requests
from tests.selection import layout, some_of
from tests.senders import secret_of

URL = "https://example.com/webhook?a=1"
LIMIT = 4096
TOPIC = {"X-Shopify-Topic": "orders/create", "X-WC-Webhook-Topic": "order.created"}

# Whether a request is accepted, by what is expected.
ALLOWED = {
    "accepted": {True},
    "verified": {True},
    "repeat": {True},
    "refused": {False},
    "either": {True, False},
}


def options_of(name: str) -> dict[str, Any]:
    """Return what a provider's receiver is made of."""
    scheme = providers.get(name)
    return {"url": URL} if scheme.signs_url else {}


def layout_of(name: str) -> Hashable:
    """Return the layout of a provider."""
    return layout(providers.get(name))


NAMES = some_of(providers.names(), layout_of)


def headers_of(name: str) -> dict[str, str]:
    """Return the header with the provider's event, if it has one."""
    event = providers.get(name).event_header
    return {event: TOPIC[event]} if event else {}


def cases_of(name: str, **options: Any) -> list[HostileCase]:
    """Return the cases of a provider."""
    scheme = providers.get(name)
    return hostile_requests(
        scheme,
        secret_of(scheme),
        max_body=LIMIT,
        headers=headers_of(name),
        **options_of(name),
        **options,
    )


def reason_of(verifier: Verifier, request: SignedRequest) -> Reason | None:
    """Return the reason for which a verifier refuses a request; None if it accepts it."""
    try:
        verifier.verify(request.body, request.headers, method=request.method, url=request.url)
    except VerificationError as error:
        return error.reason
    return None


@pytest.mark.parametrize("name", providers.names())
def test_verifier(name: str) -> None:
    """The verifier of each provider does what each case says, with its reason."""
    scheme = providers.get(name)
    verifier = Verifier(secret_of(scheme), scheme=scheme, max_body=LIMIT, **options_of(name))

    for case in cases_of(name):
        reasons = [reason_of(verifier, request) for request in case.requests()]
        for expected, reason in zip(case.expected, reasons, strict=True):
            assert ALLOWED[expected] >= {reason is None}, (case, reason)
        assert case.reason in {None, *reasons}, case


@pytest.mark.stress
@pytest.mark.parametrize("has_store", [False, True], ids=["no-store", "store"])
@pytest.mark.parametrize("name", NAMES)
def test_route(name: str, *, has_store: bool) -> None:
    """A route of each provider answers each case as it says, with and without a store."""
    scheme = providers.get(name)
    app, handled = Flask(__name__), Counter[str]()
    store: dict[str, Any] = {"store": MemoryStore()} if has_store else {}
    if has_store and scheme.event_header:
        store["unsigned_events"] = [TOPIC[scheme.event_header]]

    @app.post("/webhook")
    @verify_webhook(scheme, secret=secret_of(scheme), max_body=LIMIT, **options_of(name), **store)
    def webhook() -> dict[str, bool]:
        handled["times"] += 1
        return {"handled": True}

    def send(request: SignedRequest) -> Any:
        return app.test_client().post(
            "/webhook?a=1", base_url="https://example.com", **request.for_flask
        )

    for case in cases_of(name, handles_once=has_store):
        case.check(send, handled=lambda: handled["times"])


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        (
            "frappe",
            {
                "wrong-secret": Reason.SIGNATURE_MISMATCH,
                "unsigned": Reason.MISSING_HEADER,
                "empty-signature": Reason.MALFORMED_HEADER,
                "as-hex": Reason.WRONG_ENCODING,
                "doubled-same": Reason.DUPLICATE_HEADER,
                "huge-body": Reason.BODY_TOO_LARGE,
                "genuine": None,
            },
        ),
        (
            "stripe",
            {
                "stale": Reason.TIMESTAMP_TOO_OLD,
                "future": Reason.TIMESTAMP_IN_FUTURE,
                "garbled-timestamp": Reason.MALFORMED_TIMESTAMP,
                "tampered-timestamp": Reason.SIGNATURE_MISMATCH,
                "body-only": Reason.SIGNATURE_MISMATCH,
                "as-upper-case": None,
                "other-digest": None,  # more than one
            },
        ),
    ],
)
def test_reasons(name: str, reasons: dict[str, Reason | None]) -> None:
    """The cases are what their names say: the package refuses each for that reason."""
    found = {case.name: case.reason for case in cases_of(name)}

    assert {each: found[each] for each in reasons} == reasons


PARTS = {
    "frappe": {"with-prefix", "as-hex", "respaced-body"},
    "github": {"without-prefix", "as-base64", "as-upper-case", "other-digest"},
    "gitlab": {"wrong-secret", "truncated", "doubled-same"},
    "stripe": {"stale", "future", "rotated-first", "rotated-last", "tampered-timestamp"},
    "standard-webhooks": {"no-id", "tampered-id", "non-ascii-timestamp", "unsigned-half"},
    "hubspot-v2": {"bytes", "other-url", "other-method", "body-left-out"},
    "getstream": {"genuine-gzip", "huge-gzip"},
    "box": {"rotated-last", "respelled-timestamp"},
}


@pytest.mark.parametrize("name", PARTS)
def test_names(name: str) -> None:
    """A scheme has the cases that make sense for it, each once, and for tokens no signatures."""
    names = [case.name for case in cases_of(name)]

    assert set(names) >= PARTS[name]
    assert len(set(names)) == len(names)
    assert ("tampered-body" in names) == providers.get(name).signs_body
    assert ("stale" in names) == providers.get(name).signs_timestamp


@pytest.mark.parametrize(
    "payload",
    [
        {"order": "SO-00001"},
        lambda: {"order": "SO-00001"},
        b"a=1&b=2",
        [1, 2],
        '{"": 1}',
        {},
    ],
    ids=["dict", "function", "form", "list", "empty-key", "empty"],
)
def test_payload(payload: Any) -> None:
    """The requests have the payload; JSON in a request has white space of its own."""
    cases = {case.name: case for case in cases_of("circleci", payload=payload)}
    verifier = Verifier(secret_of(providers.CIRCLECI), scheme=providers.CIRCLECI)

    for name in {"genuine", "genuine-json", "rotated-last"} & set(cases):
        assert reason_of(verifier, *cases[name].requests()) is None
    is_object = isinstance(payload, str) or payload in ({}, {"order": "SO-00001"})
    assert ("genuine-json" in cases) == (is_object or callable(payload))


def test_unknown_option() -> None:
    """An unknown option is refused with the names of all."""
    with pytest.raises(ConfigurationError, match="unknown option store: the options are clock, h"):
        cases_of("frappe", store=None)


def test_new_requests() -> None:
    """Each call makes new requests, so that a store knows none of them."""
    case = next(iter(cases_of("frappe", payload={"order": "SO-00001"})))

    assert len({case.requests()[0].body for _ in range(5)}) == 5
    assert repr(case) == "<HostileCase genuine: accepted>"


def test_check() -> None:
    """A case says what is wrong with a receiver that answers otherwise."""
    cases = {case.name: case for case in cases_of("frappe", handles_once=True)}

    cases["wrong-secret"].check(lambda _: 403)
    with pytest.raises(AssertionError, match=r"wrong-secret: .*\(it was answered HTTP 200\)"):
        cases["wrong-secret"].check(lambda _: 200)
    with pytest.raises(
        AssertionError, match=r"repeated: It fails on a .* \(the handler ran 0 times instead of 1"
    ):
        cases["repeated"].check(lambda _: 200, handled=lambda: 7)
    with pytest.raises(AssertionError, match=r"It fails if copies .*\(request 1 .* 500; .* no"):
        cases["repeated-at-once"].check(lambda _: 500)
