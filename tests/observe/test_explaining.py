"""Explanations in the log, while somebody develops."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from frappe_hooksig import ConfigurationError, MalformedPayload, sign_payload
from frappe_hooksig.observe import ExplainToLog, log
from frappe_hooksig.providers import FRAPPE, STRIPE, WOOCOMMERCE
from frappe_hooksig.replay._callers import BLOCKING
from frappe_hooksig.replay._steps import run
from frappe_hooksig.testing import SignedRequest, signed_request
from tests.receivers import Incoming, make_receiver
from tests.testing.routes import route, site

__all__ = ["route", "site"]  # fixtures

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OTHER = "Hd8Rz2Jw5Vn0Xq7Tb4Ks9Lm1"
BODY = b'{"a":1}'


def wait_for(caplog: pytest.LogCaptureFixture, start: str) -> str:
    """Return the rest of the first line that begins so, once it is written."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for line in [*caplog.messages]:
            if line.startswith(start):
                return line.removeprefix(start)
        time.sleep(0.01)
    raise AssertionError(caplog.text)


def refuse(observe: Any, headers: Any, body: bytes = BODY, **options: Any) -> Any:
    options = {"scheme": FRAPPE, "secret": SECRET, **options}
    receiver = make_receiver(options.pop("scheme"), observe=observe, **options)
    request = Incoming([*headers], body, target=("http", "/hook"))
    return run(receiver.handle(BLOCKING, request, "view", lambda: 200))


def test_explained(route: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One line says what is proved, in each framework."""
    send = route(FRAPPE, secret=SECRET, observe=ExplainToLog(SECRET))
    send(SignedRequest(b'{ "a": 1 }', signed_request(FRAPPE, BODY, SECRET).headers))

    line = wait_for(caplog, "webhook explained at POST /")
    assert ": body-reserialised (proved): " in line
    assert ". Remedy: " in line
    assert SECRET not in caplog.text


def test_other_secret(caplog: pytest.LogCaptureFixture) -> None:
    """It tries others, and shows none."""
    signed = sign_payload(BODY, OTHER).headers.items()
    refuse(ExplainToLog(SECRET, also=OTHER), signed)

    assert "secret-other (proved)" in wait_for(caplog, "webhook explained at POST /hook: ")
    assert OTHER not in caplog.text


def test_secret_of_the_route_differs(caplog: pytest.LogCaptureFixture) -> None:
    """If its own secret is right, the one of the route is not."""
    signed = sign_payload(BODY, OTHER).headers.items()
    refuse(ExplainToLog(OTHER), signed)

    assert wait_for(caplog, "webhook explained at POST /hook: ") == (
        "it is genuine for the secret of ExplainToLog; the route uses another one"
    )


def test_unexplained(caplog: pytest.LogCaptureFixture) -> None:
    """What nothing explains is said too."""
    refuse(ExplainToLog(SECRET), [("X-Frappe-Webhook-Signature", "A" * 43 + "=")], b"\xff\x00")

    line = wait_for(caplog, "webhook explained at POST /hook: ")
    assert "proved" not in line
    assert line


def test_hostile(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of a request begins a line or controls a terminal."""
    name = "X-Hub-Signature-256\x1b[31m"
    hostile = [(name, "sha256=\r\nwebhook refused"), ("X-Frappe-Webhook-Signature", "\x1b[31m\n")]
    refuse(ExplainToLog(SECRET), hostile, b"\x1b[31m\r\n")

    line = wait_for(caplog, "webhook explained at POST /hook: ")
    assert line.isascii()
    assert line.isprintable()


@pytest.mark.parametrize(
    ("scheme", "body", "options"),
    [
        (FRAPPE, b"x" * 1_048_577, {}),
        (WOOCOMMERCE, BODY, {"unsigned_events": ["order.created"]}),
        (FRAPPE, b"{", {}),
        (FRAPPE, BODY, {"max_body": 1}),
    ],
    ids=["large", "ignored", "malformed", "limit"],
)
def test_not_explained(
    scheme: Any, body: bytes, options: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What is too large, or was verified, needs no explanation."""
    wrong = "Z" if len(body) > 1_000_000 else ""
    explain = ExplainToLog(SECRET)
    signed = signed_request(scheme, body, wrong + SECRET)

    def view() -> int:
        msg = "no JSON"
        raise MalformedPayload(msg)

    receiver = make_receiver(scheme, secret=SECRET, observe=[log, explain], **options)
    run(receiver.handle(BLOCKING, Incoming(signed.headers, signed.body), "view", view))
    deadline = time.monotonic() + 60
    while "explained" not in caplog.text:  # the next one is, once the observer is free
        assert time.monotonic() < deadline
        refuse(explain, [])
        time.sleep(0.2)
    lines = [each for each in caplog.messages if "explained" in each]
    assert all(each.startswith("webhook explained at POST /hook: header-missing") for each in lines)


def test_busy(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """It explains one request at a time; no response waits for it, and others are left out."""

    class Busy(ExplainToLog):
        """Its name is in the log, unlike those of other tests."""

    go_on = threading.Event()
    explain = Busy(SECRET)
    original = explain._explain  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def blocking(*arguments: Any, **options: Any) -> Any:
        go_on.wait(60)
        return original(*arguments, **options)

    monkeypatch.setattr(explain, "_explain", blocking)
    receiver = make_receiver(FRAPPE, secret=SECRET, observe=explain)
    for _ in range(10):
        run(receiver.handle(BLOCKING, Incoming([], BODY), "view", lambda: 200))
    go_on.set()

    left_out = wait_for(caplog, "the observer Busy was busy, and got ")
    assert left_out in {"8 events less", "9 events less"}


@pytest.mark.parametrize("secret", [None, []])
def test_no_secret(secret: Any) -> None:
    """Without a secret there is nothing to explain with."""
    with pytest.raises(ConfigurationError, match="ExplainToLog needs the secret"):
        ExplainToLog(secret)


def test_secret_of_another_format(caplog: pytest.LogCaptureFixture) -> None:
    """A secret that the scheme cannot use is complained of, without the secret."""
    refuse(ExplainToLog(""), [("Stripe-Signature", "t=1,v1=" + "0" * 64)], scheme=STRIPE)

    assert "empty" in wait_for(caplog, "the observer ExplainToLog failed: ")


def test_repr() -> None:
    """It shows no secret."""
    assert repr(ExplainToLog(SECRET)) == "ExplainToLog(...)"
