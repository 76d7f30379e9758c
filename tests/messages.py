"""Every message of a refused request, as a page to read: `python -m tests.messages` writes it."""

from __future__ import annotations

import base64
import hmac
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from frappe_hooksig import ConfigurationError, Secret, Signer, StoreError, Verifier, providers
from frappe_hooksig.freshness import body_time
from frappe_hooksig.integrations import flask
from frappe_hooksig.integrations._responses import WebhookResponse
from frappe_hooksig.replay import MemoryStore
from frappe_hooksig.replay._callers import BLOCKING
from frappe_hooksig.replay._steps import run
from frappe_hooksig.scheme import Scheme
from tests.receivers import Incoming, make_receiver

PAGE = Path(__file__).parent / "vectors" / "messages.md"
SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"order": "SO-00001"}'
NOW = 1_795_318_000
URL = "https://example.com/square"
HEX, BASE64 = "0" * 64, "A" * 43 + "="
MAC = hmac.digest(SECRET.encode(), BODY, "sha256")
HEAD = """\
# What is said of a refused request

Each mistake of a request or a setting, and the words for it. `python -m tests.messages` writes this
page, and a test compares it. The first line is the response, which the sender's administrator sees.
The second line is the receiver's log.
"""


@dataclass
class Case:
    """A request with a mistake."""

    title: str
    scheme: Any
    headers: dict[str, str]
    body: bytes = BODY
    options: dict[str, Any] = field(default_factory=dict)
    target: str = "/hook?token=never-shown"
    handle: Callable[[Incoming], Any] = lambda _request: 200


class Down(MemoryStore):
    """A store that is away."""

    def claim(self, *_: object) -> Any:
        """Fail.

        Raises:
            StoreError: Always.
        """
        msg = "the store in Redis cannot be reached: Connection refused"
        raise StoreError(msg)


class Busy(MemoryStore):
    """A store in which another attempt holds each delivery."""

    def claim(self, key: str, token: str, lease: float) -> Any:
        """Answer at once."""
        return super().claim(key, "another", 60) and super().claim(key, token, lease)


def signed(
    scheme: Scheme, *, at: float = NOW, body: bytes = BODY, url: str = URL
) -> dict[str, str]:
    """Return the headers of a genuine request."""
    signer = Signer(secret_of(scheme), scheme=scheme, clock=lambda: at)
    return signer.sign(body, method="POST", url=url).headers


def parsed(request: Incoming) -> Any:
    """Parse the body, as a handler does."""
    return request.who.delivery.json()  # type: ignore[attr-defined]


FRAPPE, GITHUB, STRIPE = providers.FRAPPE, providers.GITHUB, providers.STRIPE
MISMATCH = "X-Frappe-Webhook-Signature"
GITHUBS = {"X-Hub-Signature": f"sha1={'0' * 40}", "X-Hub-Signature-256": f"sha256={HEX}"}
SQUARES = {"url": [URL, "https://other.example.com/square"]}


def cases() -> list[Case]:
    """Return all of them, in the order of the page."""
    return [*of_headers(), *of_signatures(), *of_the_rest()]


def of_headers() -> Iterator[Case]:
    """Yield mistakes that the headers show."""
    yield Case("nothing is signed", FRAPPE, {})
    yield Case("another sender", FRAPPE, GITHUBS)
    yield Case("Jira, at a route for GitHub", GITHUB, {"X-Hub-Signature": f"sha256={HEX}"})
    yield Case(
        "another sender's header, in no form that is known", FRAPPE, {"X-Hub-Signature": "x"}
    )
    yield Case(
        "the time is missing", providers.WEBHOOK_TIMESTAMPED, signed(providers.WEBHOOK_SHA256)
    )
    yield Case(
        "the id is missing",
        providers.STANDARD_WEBHOOKS,
        {"webhook-signature": f"v1,{BASE64}", "webhook-timestamp": str(NOW)},
    )
    yield Case("no token", providers.GITLAB, {})
    yield Case("one of two schemes", [FRAPPE, providers.WEBHOOK_HEX], {})
    yield Case("empty", FRAPPE, {MISMATCH: ""})
    yield Case("not ASCII", FRAPPE, {MISMATCH: "é"})
    yield Case("very long", FRAPPE, {MISMATCH: "A" * 9000})
    yield Case("longer than any MAC", FRAPPE, {MISMATCH: "A" * 200})
    yield Case("a prefix of another scheme", FRAPPE, {MISMATCH: f"sha256={HEX}"})
    yield Case("a word before it", FRAPPE, {MISMATCH: f"sha256 {HEX}"})
    yield Case("a space behind the prefix", GITHUB, {"X-Hub-Signature-256": f"sha256= {HEX}"})
    yield Case("without its prefix", GITHUB, {"X-Hub-Signature-256": HEX})
    yield Case("another prefix", providers.GITHUB_SHA1, {"X-Hub-Signature": f"sha256={HEX}"})
    yield Case("another hash", GITHUB, {"X-Hub-Signature-256": f"sha256={'0' * 40}"})
    yield Case("SHA-512 in base64", FRAPPE, {MISMATCH: "A" * 86 + "=="})
    yield Case("cut off", FRAPPE, {MISMATCH: "forged"})
    yield Case("no entry with a signature", STRIPE, {"Stripe-Signature": f"t={NOW}"})
    yield Case("no entry with a time", STRIPE, {"Stripe-Signature": f"v1={HEX}"})
    yield Case("a comma", FRAPPE, {MISMATCH: f"{BASE64},{BASE64}"})


def of_signatures() -> Iterator[Case]:
    """Yield signatures that do not match."""
    yield Case("hex in place of base64", FRAPPE, {MISMATCH: MAC.hex()})
    yield Case(
        "URL-safe base64",
        GITHUB,
        {"X-Hub-Signature-256": "sha256=" + base64.urlsafe_b64encode(MAC).decode()},
    )
    yield Case("another secret", GITHUB, {"X-Hub-Signature-256": f"sha256={HEX}"})
    yield Case("another secret, with a time", STRIPE, {"Stripe-Signature": f"t={NOW},v1={HEX}"})
    yield Case(
        "another secret, with id and time",
        providers.STANDARD_WEBHOOKS,
        {"webhook-id": "msg_1", "webhook-signature": f"v1,{BASE64}", "webhook-timestamp": str(NOW)},
    )
    yield Case(
        "another URL",
        providers.SQUARE,
        {"x-square-hmacsha256-signature": BASE64},
        options={"url": URL},
    )
    yield Case(
        "another method, URL or time",
        providers.HUBSPOT_V3,
        {"X-HubSpot-Signature-V3": BASE64, "X-HubSpot-Request-Timestamp": f"{NOW}000"},
        options={"url": URL},
    )
    yield Case("another token", providers.GITLAB, {"X-Gitlab-Token": "another token"})
    yield Case("an empty body", FRAPPE, {MISMATCH: BASE64}, b"")
    yield Case(
        "a body that the server does not read",
        FRAPPE,
        {MISMATCH: BASE64, "Transfer-Encoding": "chunked"},
        b"",
    )
    yield Case("a compressed body", FRAPPE, {MISMATCH: BASE64, "Content-Encoding": "gzip"}, b"\x1f")
    yield Case(
        "an unknown sender", FRAPPE, {MISMATCH: BASE64}, options={"secret": lambda _request: None}
    )
    yield Case(
        "a secret that is not valid now",
        FRAPPE,
        signed(FRAPPE),
        options={"secret": Secret(SECRET, not_after=NOW)},
    )


def of_the_rest() -> Iterator[Case]:
    """Yield mistakes in URLs, times and payloads, and what a store says."""
    yield Case(
        "a URL that is not registered",
        providers.SQUARE,
        signed(providers.SQUARE) | {"Host": "internal:8000"},
        options=SQUARES,
    )
    yield Case(
        "behind a proxy",
        providers.SQUARE,
        signed(providers.SQUARE)
        | {
            "Host": "internal:8000",
            "X-Forwarded-Host": "example.com",
            "X-Forwarded-Proto": "https",
        },
        options=SQUARES,
        target="/square",
    )
    yield Case(
        "a hostile URL",
        providers.SQUARE,
        signed(providers.SQUARE) | {"Host": "\x1b[31m\r\nwebhook refused: é"},
        options=SQUARES,
        target="/\x07\n" + "a" * 300 + "?x",
    )
    yield Case("a time in milliseconds", STRIPE, {"Stripe-Signature": f"t={NOW}000,v1={HEX}"})
    yield Case(
        "no field with a time",
        FRAPPE,
        signed(FRAPPE),
        options={"timestamp_from": body_time(time_zone="UTC")},
    )
    body = b'{"webhookTimestamp": 1795318000000}'
    of_linear = {"timestamp_from": body_time("webhookTimestamp", time_zone="UTC")}
    yield Case(
        "milliseconds in the body",
        providers.LINEAR,
        signed(providers.LINEAR, body=body),
        body,
        of_linear,
    )
    yield Case(
        "milliseconds from a function",
        providers.LINEAR,
        signed(providers.LINEAR),
        BODY,
        {"timestamp_from": lambda _delivery: NOW * 1000},
    )
    yield Case("too old", STRIPE, signed(STRIPE, at=NOW - 600))
    yield Case("ahead", STRIPE, signed(STRIPE, at=NOW + 600))
    yield Case("too large", FRAPPE, signed(FRAPPE), options={"max_body": 10})
    for kind, text in {
        "an empty": b"",
        "a form as a": b"payload=%7B%22a%22%3A+1%7D",
        "a compressed": b"\x1f\x8b\x08",
        "XML as a": b"<order/>",
        "a broken": b'{"a": ',
    }.items():
        yield Case(f"{kind} payload", GITHUB, signed(GITHUB, body=text), text, handle=parsed)
    yield Case("another form", FRAPPE, signed(FRAPPE, body=b"a=1&b=2"), b"a=1&b=2", handle=parsed)
    yield Case(
        "an event that is not listed",
        providers.WOOCOMMERCE,
        signed(providers.WOOCOMMERCE) | {"X-WC-Webhook-Topic": "order.\x1b[31m"},
        options={"unsigned_events": ["order.created"]},
    )
    yield Case("a repeat", FRAPPE, signed(FRAPPE), options={"store": MemoryStore()})
    yield Case("a repeat at the same time", FRAPPE, signed(FRAPPE), options={"store": Busy()})
    yield Case("a store that is away", FRAPPE, signed(FRAPPE), options={"store": Down()})


def secret_of(scheme: Scheme) -> str:
    """Return the secret for a scheme."""
    return WHSEC if scheme.secret_format == "whsec" else scheme.secret_prefix + SECRET


def answered(case: Case) -> tuple[Any, list[logging.LogRecord]]:
    """Send the request of a case; return the response and what was logged."""
    own = {"secret": secret_of(case.scheme) if isinstance(case.scheme, Scheme) else SECRET}
    options = own | case.options
    senders: Any = case.scheme
    store = {"store": options.pop("store")} if "store" in options else {}
    if isinstance(senders, Scheme) and not callable(options["secret"]):
        senders = Verifier(options.pop("secret"), scheme=senders, clock=lambda: NOW, **options)
        options = {}
    receiver = make_receiver(senders, **options, **store)
    records: list[logging.LogRecord] = []
    for _ in range(2 if store else 1):
        records.clear()
        request = Incoming(list(case.headers.items()), case.body, target=("http", case.target))
        with logged_to(records):
            answer = run(receiver.handle(BLOCKING, request, "view", partial(case.handle, request)))
    return answer, records


class _Collector(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self._records.append(record)


@contextmanager
def logged_to(records: list[logging.LogRecord]) -> Iterator[None]:
    """Collect the records of the library's logger."""
    logger, handler = logging.getLogger("frappe_hooksig"), _Collector(records)
    level, is_disabled = logger.level, logger.disabled
    logger.setLevel(logging.DEBUG)
    logger.disabled = False  # what is fuzzed or measured in this process disables it
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.disabled = is_disabled
        logger.setLevel(level)


at_route: Any = flask.verify_webhook  # with arguments that no type checker lets through
unread: Any = body_time

#: What is wrong in an app, and code that shows it.
MISTAKES: dict[str, Callable[[], object]] = {
    "a variable that is not set": lambda: at_route(STRIPE, secret=None),
    "no secret": lambda: at_route(STRIPE),
    "an empty secret": lambda: at_route(STRIPE, secret=""),
    "an empty secret of a Verifier": lambda: Verifier("", scheme=STRIPE),
    "no secret of a Verifier": lambda: Verifier(None),
    "one of several": lambda: at_route(STRIPE, secret=[SECRET, "****"]),
    "a secret with an id": lambda: Secret("", id="2026-11"),
    "a secret of Polar": lambda: at_route(
        providers.STANDARD_WEBHOOKS, secret="polar_whs_Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
    ),
    "hex digits that are none": lambda: Verifier(SECRET, scheme=providers.ADYEN),
    "a misspelt option": lambda: at_route(STRIPE, secret=SECRET, max_size=1),
    "a path as the store": lambda: at_route(STRIPE, secret=SECRET, store="a.sqlite"),
    "a class as the store": lambda: at_route(STRIPE, secret=SECRET, store=MemoryStore),
    "a unit of no time": lambda: unread(time_zone="UTC", unit="us"),
    "a short secret": lambda: at_route(GITHUB, secret="Zq7!"),
    "a secret that repeats itself": lambda: Verifier("ab" * 20),
    "a line end": lambda: at_route(GITHUB, secret=SECRET + "\n"),
    "quotes": lambda: at_route(GITHUB, secret=[SECRET, f'"{SECRET}"']),
    "a placeholder": lambda: Secret("change-me-please-now"),
    "an API key": lambda: Verifier("ghp_16C7e42F292c6912E7710c838347Ae178B4a", scheme=GITHUB),
    "what Frappe rewrites": lambda: Verifier(SECRET + "<b>"),
    "another sender's secret": lambda: Verifier(SECRET, scheme=STRIPE),
    "a short key": lambda: Verifier("QUJDREVGR0hJSktM", scheme=providers.STANDARD_WEBHOOKS),
}


def said_about(mistake: Callable[[], object]) -> list[str]:
    """Return what is said of a mistake in an app."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            mistake()
        except ConfigurationError as error:
            return [f"ConfigurationError: {error}"]
    return [f"SecretWarning: {each.message}" for each in caught]


def page() -> str:
    """Return the page."""
    sections: dict[str, list[str]] = {}
    for case in cases():
        answer, records = answered(case)
        schemes = case.scheme if isinstance(case.scheme, list) else [case.scheme]
        lines = [f"**{case.title}**, {' or '.join(each.title for each in schemes)}", ""]
        text = answer.content["message"] if isinstance(answer, WebhookResponse) else "(handled)"
        status = answer.status if isinstance(answer, WebhookResponse) else answer
        lines += [f"- {status}: {text}"]
        lines += [f"- {each.levelname}: {each.getMessage()}" for each in records]
        reason = vars(records[0])["webhook_reason"]
        sections.setdefault(reason, []).append("\n".join(lines))
    found = [
        f"## {reason}\n\n{chr(10).join(f'{each}{chr(10)}' for each in each_of_them)}"
        for reason, each_of_them in sections.items()
    ]
    said = "\n".join(
        f"**{title}**\n\n" + "".join(f"- {line}\n" for line in said_about(mistake))
        for title, mistake in MISTAKES.items()
    )
    return "\n".join([HEAD, *found, f"## Settings and secrets\n\n{said}"])


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
