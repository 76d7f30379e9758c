"""Receivers written by hand, right and wrong ones: plain WSGI apps of a few lines."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple

LIMIT = 4096
TOLERANCE = 300
URL = "https://example.com/webhook?a=1"


class Request(NamedTuple):
    """What a WSGI app sees of a request."""

    environ: dict[str, Any]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the value of a header, or None."""
        value: str | None = self.environ.get(f"HTTP_{name.upper().replace('-', '_')}")
        return value


@dataclass
class App:
    """A WSGI app around a function that verifies and handles a request.

    Attributes:
        receive: Verifies a request, calls `handle()`, and returns the status and the text.
        secret: What it is configured with.
        handled: How often the handler has run.
        seen: What was handled.
    """

    receive: Callable[[App, Request], tuple[int, str]]
    secret: bytes
    handled: int = 0
    seen: set[str] = field(default_factory=set)
    lock: Any = field(default_factory=Lock)
    busy: Any = field(default_factory=Lock)

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        length = int(environ["CONTENT_LENGTH"])
        if length > LIMIT:
            status, text = 413, "too large"
        else:
            request = Request(environ, environ["wsgi.input"].read(length))
            status, text = self.receive(self, request)
        start(f"{status} Status", [("Content-Type", "text/plain")])
        return [text.encode()]

    def handle(self) -> tuple[int, str]:
        """Handle a delivery."""
        with self.lock:
            self.handled += 1
        return 200, "handled"

    def handle_once(self, key: str) -> tuple[int, str]:
        """Handle a delivery that is new."""
        with self.lock:
            is_new = key not in self.seen
            self.seen.add(key)
        return self.handle() if is_new else (200, "duplicate")

    def hmac(self, message: bytes, digest: str = "sha256") -> Any:
        """Return the MAC of a message."""
        return hmac.new(self.secret, message, digest)


REFUSED = 401, "refused"


def same(right: str, given: str | None) -> bool:
    """Compare two texts."""
    return hmac.compare_digest(right.encode(), (given or "").encode())


def of_base64(app: App, message: bytes) -> str:
    """Return the MAC of a message as Frappe sends it."""
    return base64.b64encode(app.hmac(message).digest()).decode()


# Right ones.


def frappe(app: App, request: Request) -> tuple[int, str]:
    if not same(of_base64(app, request.body), request.header("X-Frappe-Webhook-Signature")):
        return REFUSED
    return app.handle()


def frappe_once(app: App, request: Request) -> tuple[int, str]:
    signature = of_base64(app, request.body)
    if not same(signature, request.header("X-Frappe-Webhook-Signature")):
        return REFUSED
    return app.handle_once(signature)


def github(app: App, request: Request) -> tuple[int, str]:
    right = f"sha256={app.hmac(request.body).hexdigest()}"
    return app.handle() if same(right, request.header("X-Hub-Signature-256")) else REFUSED


def gitlab(app: App, request: Request) -> tuple[int, str]:
    return app.handle() if same(app.secret.decode(), request.header("X-Gitlab-Token")) else REFUSED


def is_fresh(text: str) -> bool:
    """Whether a timestamp is near to now."""
    is_time = len(text) == 10 and text.isascii() and text.isdigit()
    return is_time and abs(time.time() - int(text)) <= TOLERANCE


def stripe_parts(request: Request) -> list[tuple[str, str]]:
    """Return the entries of Stripe's header."""
    entries = (request.header("Stripe-Signature") or "").split(",")
    return [(name, value) for name, _, value in (entry.partition("=") for entry in entries)]


def stripe(app: App, request: Request) -> tuple[int, str]:
    parts = stripe_parts(request)
    times = [value for name, value in parts if name == "t"]
    if len(times) != 1 or not is_fresh(times[0]):
        return REFUSED
    right = app.hmac(times[0].encode() + b"." + request.body).hexdigest()
    matches = [same(right, value) for name, value in parts if name == "v1"]
    return app.handle() if any(matches) else REFUSED


def standard(app: App, request: Request) -> tuple[int, str]:
    number, text = request.header("webhook-id") or "", request.header("webhook-timestamp") or ""
    if not number or not is_fresh(text):
        return REFUSED
    key = base64.b64decode(app.secret.removeprefix(b"whsec_"))
    message = f"{number}.{text}.".encode() + request.body
    right = base64.b64encode(hmac.new(key, message, "sha256").digest()).decode()
    given = (request.header("webhook-signature") or "").split(" ")
    matches = [same(f"v1,{right}", each) for each in given]
    return app.handle_once(number) if any(matches) else REFUSED


def square(app: App, request: Request) -> tuple[int, str]:
    right = of_base64(app, URL.encode() + request.body)
    given = request.header("X-Square-HmacSha256-Signature")
    return app.handle() if same(right, given) else REFUSED


# Wrong ones.


def hex_for_base64(app: App, request: Request) -> tuple[int, str]:
    right = app.hmac(request.body).hexdigest()
    return app.handle() if same(right, request.header("X-Frappe-Webhook-Signature")) else REFUSED


def no_header_no_check(app: App, request: Request) -> tuple[int, str]:
    if request.header("X-Frappe-Webhook-Signature") is None:
        return app.handle()
    return frappe(app, request)


def no_secret_no_check(app: App, request: Request) -> tuple[int, str]:
    return frappe(app, request) if app.secret else app.handle()


def compares_with_equals(app: App, request: Request) -> tuple[int, str]:
    given = request.header("X-Frappe-Webhook-Signature")
    return app.handle() if of_base64(app, request.body) == given else REFUSED


def decodes_body(app: App, request: Request) -> tuple[int, str]:
    text = request.body.decode(errors="replace")
    return frappe(app, request._replace(body=text.encode()))


def decodes_body_strictly(app: App, request: Request) -> tuple[int, str]:
    return frappe(app, request._replace(body=request.body.decode().encode()))


def parses_body(app: App, request: Request) -> tuple[int, str]:
    try:
        again = json.dumps(json.loads(request.body)).encode()
    except ValueError:
        again = request.body
    return frappe(app, request._replace(body=again))


def parses_body_compactly(app: App, request: Request) -> tuple[int, str]:
    try:
        again = json.dumps(json.loads(request.body), separators=(",", ":")).encode()
    except ValueError:
        return 400, "no JSON"
    return frappe(app, request._replace(body=again))


def last_signature_wins(app: App, request: Request) -> tuple[int, str]:
    parts = dict(stripe_parts(request))
    right = app.hmac(parts.get("t", "").encode() + b"." + request.body).hexdigest()
    return (
        app.handle() if is_fresh(parts.get("t", "")) and same(right, parts.get("v1")) else REFUSED
    )


def handles_twice(app: App, request: Request) -> tuple[int, str]:
    answer = frappe(app, request)
    if answer == REFUSED:
        return answer
    key = of_base64(app, request.body)
    is_new = key not in app.seen
    app.seen.add(key)
    return answer if is_new else (200, "duplicate")


def first_signature_wins(app: App, request: Request) -> tuple[int, str]:
    parts = dict(reversed(stripe_parts(request)))
    right = app.hmac(parts.get("t", "").encode() + b"." + request.body).hexdigest()
    return (
        app.handle() if is_fresh(parts.get("t", "")) and same(right, parts.get("v1")) else REFUSED
    )


def stripe_with(
    is_fresh: Callable[[float], bool],
) -> Callable[[App, Request], tuple[int, str]]:
    """Return a receiver of Stripe's webhooks with a rule of its own for their age."""

    def receive(app: App, request: Request) -> tuple[int, str]:
        parts = stripe_parts(request)
        text = "".join([value for name, value in parts if name == "t"][:1])
        if not (len(text) == 10 and text.isdigit() and is_fresh(time.time() - int(text))):
            return REFUSED
        right = app.hmac(text.encode() + b"." + request.body).hexdigest()
        matches = [same(right, value) for name, value in parts if name == "v1"]
        return app.handle() if any(matches) else REFUSED

    return receive


def crashes_on_time(app: App, request: Request) -> tuple[int, str]:
    parts = stripe_parts(request)
    text = dict(parts).get("t", "0")
    if abs(time.time() - int(text)) > TOLERANCE:
        return REFUSED
    right = app.hmac(text.encode() + b"." + request.body).hexdigest()
    matches = [same(right, each) for _, each in parts]
    return app.handle() if any(matches) else REFUSED


def body_only(app: App, request: Request) -> tuple[int, str]:
    right = app.hmac(request.body).hexdigest()
    matches = [same(right, each) for _, each in stripe_parts(request)]
    return app.handle() if any(matches) else REFUSED


def recorded_before_verified(app: App, request: Request) -> tuple[int, str]:
    key = hashlib.sha256(request.body).hexdigest()
    with app.lock:
        is_new = key not in app.seen
        app.seen.add(key)
    return frappe(app, request) if is_new else (200, "duplicate")


def get_then_set(app: App, request: Request) -> tuple[int, str]:
    signature = of_base64(app, request.body)
    if not same(signature, request.header("X-Frappe-Webhook-Signature")):
        return REFUSED
    if signature in app.seen:
        return 200, "duplicate"
    time.sleep(0.02)  # what the handler takes
    app.seen.add(signature)
    return app.handle()


def locked_at_once(app: App, request: Request) -> tuple[int, str]:
    if not app.busy.acquire(blocking=False):
        return 500, "locked"
    time.sleep(0.02)  # what the database takes
    app.busy.release()
    return frappe_once(app, request)


def handles_first(app: App, request: Request) -> tuple[int, str]:
    app.handle()
    signature = of_base64(app, request.body)
    is_right = same(signature, request.header("X-Frappe-Webhook-Signature"))
    return (200, "handled") if is_right else REFUSED


def refuses_repeats(app: App, request: Request) -> tuple[int, str]:
    status, text = frappe_once(app, request)
    return (410, text) if text == "duplicate" else (status, text)


def success_on_failure(app: App, request: Request) -> tuple[int, str]:
    _, text = answer = frappe(app, request)
    return answer if text == "handled" else (200, '{"success": false}')


def polite_and_parsing(app: App, request: Request) -> tuple[int, str]:
    status, text = parses_body(app, request)
    return 200, text if status == 200 else "sorry"


def crashes_on_non_ascii(app: App, request: Request) -> tuple[int, str]:
    given = request.header("X-Frappe-Webhook-Signature") or ""
    is_right = hmac.compare_digest(of_base64(app, request.body), given)
    return app.handle() if is_right else REFUSED


def crashes_without_header(app: App, request: Request) -> tuple[int, str]:
    given = request.header("X-Hub-Signature-256")
    assert given is not None
    return github(app, request)


def never_checks(app: App, request: Request) -> tuple[int, str]:
    same(app.hmac(request.body).hexdigest(), request.header("X-Hub-Signature-256"))
    return app.handle()


def logs_and_continues(app: App, request: Request) -> tuple[int, str]:
    status, text = github(app, request)
    if status == 401:
        app.handle()
    return status, text


def only_presence(app: App, request: Request) -> tuple[int, str]:
    return app.handle() if request.header("X-Hub-Signature-256") else REFUSED


def parses_first(app: App, request: Request) -> tuple[int, str]:
    try:
        json.loads(request.body)
    except ValueError:
        return 400, "no JSON"
    return github(app, request)


def compares_beginning(app: App, request: Request) -> tuple[int, str]:
    given = request.header("X-Hub-Signature-256")
    right = f"sha256={app.hmac(request.body).hexdigest()}"
    return app.handle() if given and same(right[: len(given)], given) else REFUSED


def prefix_is_optional(app: App, request: Request) -> tuple[int, str]:
    given = (request.header("X-Hub-Signature-256") or "").removeprefix("sha256=")
    return app.handle() if same(app.hmac(request.body).hexdigest(), given) else REFUSED


def expects_no_prefix(app: App, request: Request) -> tuple[int, str]:
    right = app.hmac(request.body).hexdigest()
    return app.handle() if same(right, request.header("X-Hub-Signature-256")) else REFUSED


def expects_a_prefix(app: App, request: Request) -> tuple[int, str]:
    right = f"sha256={of_base64(app, request.body)}"
    return app.handle() if same(right, request.header("X-Frappe-Webhook-Signature")) else REFUSED


def accepts_sha1(app: App, request: Request) -> tuple[int, str]:
    if request.header("X-Hub-Signature-256") is None:
        right = f"sha1={app.hmac(request.body, 'sha1').hexdigest()}"
        return app.handle() if same(right, request.header("X-Hub-Signature")) else REFUSED
    return github(app, request)


def decodes_signature(app: App, request: Request) -> tuple[int, str]:
    try:
        given = base64.b64decode(request.header("X-Frappe-Webhook-Signature") or "")
    except ValueError:
        return REFUSED
    return app.handle() if hmac.compare_digest(app.hmac(request.body).digest(), given) else REFUSED


def reveals_signature(app: App, request: Request) -> tuple[int, str]:
    status, text = frappe(app, request)
    return status, text if status == 200 else f"expected {of_base64(app, request.body)}"


def other_secret(app: App, request: Request) -> tuple[int, str]:
    app.secret = b"another secret of theirs"
    return frappe(app, request)
