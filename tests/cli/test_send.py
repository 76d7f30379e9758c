"""`frappe-hooksig send`, to receivers on loopback."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from frappe_hooksig import Verifier, providers
from frappe_hooksig.testing import Answer, FakeReceiver, ReceivedRequest
from tests.cli.command import (
    BODY,
    REFUSED,
    SECRET,
    SIGNATURE,
    USAGE,
    VERIFIED,
    WHSEC,
    run_process,
    says,
)
from tests.loopback import free_port
from tests.test_package import loaded_by

UNREACHABLE = 3
ALLOWED = ["--allow", "127.0.0.1"]
OUR_REFUSAL = Answer(
    401,
    b'{"reason": "signature-mismatch", "message": "It does not match"}',
    {"Content-Type": "application/json"},
)
STANDARD = ["-e", "WHSEC", "--scheme", "standard-webhooks"]


def send(status: int, receiver: FakeReceiver, *arguments: Any, **options: Any) -> tuple[str, str]:
    """Send to a receiver, with the secret unless another is named."""
    secret = [] if "-e" in arguments or "-f" in arguments else ["-e", "NEW"]
    url = f"{receiver.url}hook?token=of-the-url"
    out, err = says(status, "send", *secret, *ALLOWED, url, *arguments, **options)
    assert not any(each in out + err for each in ("of-the-url", SECRET, WHSEC))
    for request in receiver.requests:
        signature = request.header(SIGNATURE) or request.header("webhook-signature")
        assert signature
        assert signature not in out + err
    return out, err


def verified(request: ReceivedRequest) -> bytes:
    """Return the body of a request of Frappe's scheme that is genuine."""
    return Verifier(SECRET).verify(request.body, request.headers).body


def test_accepted() -> None:
    """It says what was sent and what came back, and shows neither signature nor token."""
    with FakeReceiver() as receiver:
        origin = receiver.url.removesuffix("/")
        out, err = send(VERIFIED, receiver)

    assert out.splitlines() == [
        f"sent: POST {origin} (21 bytes)",
        f"headers: {SIGNATURE}",
        "received: 200",
        "delivered",
    ]
    assert err == ""
    [request] = receiver.requests
    assert (request.method, request.path) == ("POST", "/hook?token=of-the-url")
    assert verified(request) == BODY


@pytest.mark.parametrize("source", ["file", "standard input", "-", "--data"])
def test_body(source: str, tmp_path: Path) -> None:
    """The body is sent byte for byte, wherever it is from."""
    body = b'{"a": "\xff"}\n'
    (tmp_path / "body").write_bytes(body)
    arguments: dict[str, list[Any]] = {
        "file": [tmp_path / "body"],
        "standard input": [],
        "-": ["-"],
        "--data": [b"--data=" + body],
    }
    with FakeReceiver() as receiver:
        send(VERIFIED, receiver, *arguments[source], body=body)

    assert verified(receiver.requests[0]) == body


def test_secret_from_standard_input() -> None:
    """With --data, standard input is free for something else."""
    with FakeReceiver() as receiver:
        send(VERIFIED, receiver, "--data", "{}", "-f", "-", body=SECRET.encode())

    assert verified(receiver.requests[0]) == b"{}"


def test_headers(tmp_path: Path) -> None:
    """Further headers are sent. Their names are shown, not their values."""
    (tmp_path / "headers").write_bytes(b"Authorization: Basic c2VjcmV0\nX-Name: caf\xe9\n")
    given = ["-H", "Content-Type: application/json", "-H", f"@{tmp_path / 'headers'}"]
    with FakeReceiver() as receiver:
        out, err = send(VERIFIED, receiver, *given, "--method", "PUT")

    [request] = receiver.requests
    assert request.method == "PUT"
    assert request.header("Content-Type") == "application/json"
    assert request.header("Authorization") == "Basic c2VjcmV0"
    assert request.header("X-Name") == "caf\xe9"
    assert f"headers: {SIGNATURE}, Content-Type, Authorization, X-Name\n" in out
    assert "c2VjcmV0" not in out + err


@pytest.mark.parametrize("given", [["--id", "msg_7"], []])
def test_id(given: list[str]) -> None:
    """The id is the given one, or a new one, which is shown."""
    with FakeReceiver() as receiver:
        out, _ = send(VERIFIED, receiver, *STANDARD, *given)

    [request] = receiver.requests
    sent = request.header("webhook-id")
    assert sent == "msg_7" if given else sent
    assert f"\nid: {sent}\n" in out
    verifier = Verifier(WHSEC, scheme=providers.STANDARD_WEBHOOKS)
    assert verifier.verify(request.body, request.headers).id == sent


def test_our_refusal() -> None:
    """A reason of this package comes with the place that explains it."""
    with FakeReceiver([OUR_REFUSAL]) as receiver:
        out, err = send(REFUSED, receiver, by=run_process)

    assert err == ""  # the log has no line of its own
    assert out.splitlines()[2:] == [
        "received: 401 signature-mismatch",
        "It does not match",
        "see: docs/reasons.md#signature-mismatch",
        "refused",
    ]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", None),
        (b"no such order\n", "no such order"),
        (b"\x1b[31mno\xff", "\\x1b[31mno\\ufffd"),
        (b"x" * 300, "x" * 200 + "..."),
        (b"<html><title>Not\nallowed</title></html>", "Not allowed"),
        (b'["address-not-allowed"]', '["address-not-allowed"]'),
        (
            b'{"reason": "address-not-allowed", "message": "no"}',
            '{"reason": "address-not-allowed", "message": "no"}',
        ),
    ],
)
def test_answer_of_others(body: bytes, shown: str | None) -> None:
    """An answer that is not ours is shown to who asks for it, escaped and cut off."""
    with FakeReceiver([Answer(403, body)]) as receiver:
        out, _ = send(REFUSED, receiver)
        as_json, _ = send(REFUSED, receiver, "--json")

    assert out.splitlines()[2:] == [
        "received: 403",
        "the receiver answered HTTP 403",
        *[f"answer: {each}" for each in [shown] if each],
        "refused",
    ]
    [attempt] = json.loads(as_json)["attempts"]
    assert (attempt["reason"], attempt["answer"]) == (None, shown)
    assert attempt["message"] == "the receiver answered HTTP 403"


def test_answer_of_success() -> None:
    """What a receiver says of a delivery that it took is shown."""
    with FakeReceiver([Answer(200, b"handled")]) as receiver:
        out, _ = send(VERIFIED, receiver)

    assert out.splitlines()[2:] == ["received: 200", "answer: handled", "delivered"]


def test_gone() -> None:
    """A receiver that wants no more has refused it, once and for all."""
    with FakeReceiver([410]) as receiver:
        out, _ = send(REFUSED, receiver, "--retry", "QUICK")

    assert out.endswith("\ngone\n")
    assert len(receiver.requests) == 1


def test_redirect() -> None:
    """A redirect is not followed."""
    with FakeReceiver([Answer(302, headers={"Location": "/elsewhere"})]) as receiver:
        out, _ = send(REFUSED, receiver)

    assert "received: 302" in out
    assert len(receiver.requests) == 1


def test_retry_after() -> None:
    """What the receiver asks for is shown."""
    with FakeReceiver([Answer(503, headers={"Retry-After": "90"})]) as receiver:
        out, _ = send(REFUSED, receiver)

    assert "\nRetry-After: 90 s\n" in out


@pytest.mark.parametrize("answer", ["reset", "nobody"])
def test_no_response(answer: Any) -> None:
    """Without a response it was perhaps sent, and the status is another one."""
    with FakeReceiver() as receiver:
        url = receiver.url
    if answer == "nobody":
        out, _ = says(UNREACHABLE, "send", "-e", "NEW", *ALLOWED, url)
    else:
        with FakeReceiver([answer]) as receiver:
            out, _ = send(UNREACHABLE, receiver)

    assert out.startswith("not sent: " if answer == "nobody" else "sent: ")
    assert "\nreceived: nothing\n" in out
    assert out.splitlines()[-1].startswith("unreachable: ")


def test_no_such_host() -> None:
    """Nothing is sent if nobody has the name."""
    out, _ = says(UNREACHABLE, "send", "-e", "NEW", "http://nobody.invalid/")

    assert out.startswith("not sent: POST http://nobody.invalid (21 bytes)\n")
    assert out.endswith("\nunreachable: name-not-found\n")


def test_timeout() -> None:
    """An attempt ends after its timeout."""
    with FakeReceiver(["timeout"]) as receiver:
        out, _ = send(UNREACHABLE, receiver, "--timeout", "0.2")

    assert out.endswith("\nunreachable: timeout\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_blocked(host: str) -> None:
    """An address that is not public is blocked, and the option that allows it is named."""
    with FakeReceiver() as receiver:
        port = urlsplit(receiver.url).port
        url = f"http://{host}:{port}/?token=of-the-url"
        out, _ = says(UNREACHABLE, "send", "-e", "NEW", "--allow", "10.0.0.0/8", url)

    named = host.strip("[]")
    lines = out.splitlines()
    assert lines[0] == f"not sent: POST http://{host}:{port} (21 bytes)"
    assert lines[-2:] == [
        f"to send there all the same, name it: --allow {named}",
        "blocked: address-not-allowed",
    ]
    assert "received" not in out
    assert "of-the-url" not in out
    assert not receiver.requests


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        (["127.0.0.1"], "127.0.0.1"),
        (["10.0.0.0/8", "127.0.0.0/8"], "127.0.0.1"),
        (["localhost"], "localhost"),
    ],
)
def test_allowed(allowed: list[str], host: str) -> None:
    """Addresses, networks and names can be allowed."""
    with FakeReceiver() as receiver:
        options = [part for each in allowed for part in ("--allow", each)]
        url = f"http://{host}:{urlsplit(receiver.url).port}/"
        says(VERIFIED, "send", "-e", "NEW", *options, url)

    assert len(receiver.requests) == 1


@pytest.mark.parametrize("name", ["QUICK", "quick", "frappe", "standard-webhooks"])
def test_retry(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits in the foreground. Each attempt has a line, the same body and the same id."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with FakeReceiver([503, OUR_REFUSAL, 204]) as receiver:
        out, err = send(VERIFIED, receiver, *STANDARD, "--retry", name)

    first = 1 if name.lower() == "quick" else 5
    assert first <= slept[0] <= first * 1.1
    assert [re.sub(r"in [\d.]+ s", "in N s", line) for line in err.splitlines()] == [
        "frappe-hooksig: attempt 1: refused (503)",
        "frappe-hooksig: next attempt in N s",
        "frappe-hooksig: attempt 2: refused (401 signature-mismatch)",
        "frappe-hooksig: next attempt in N s",
        "frappe-hooksig: attempt 3: delivered (204)",
    ]
    assert out.splitlines()[-3:] == ["attempts: 3", "received: 204", "delivered"]
    assert len({(each.body, each.header("webhook-id")) for each in receiver.requests}) == 1
    assert len(receiver.requests) == 3


@pytest.mark.parametrize(
    ("retry_after", "pauses"), [("30", [30, 30]), ("76", []), ("86400", []), ("1", [1, 4, 10])]
)
def test_retry_after_of_quick(
    retry_after: str, pauses: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver can keep somebody at a terminal waiting for a minute more."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    busy = Answer(503, headers={"Retry-After": retry_after})
    with FakeReceiver([busy]) as receiver:
        _, err = send(REFUSED, receiver, "--retry", "QUICK")

    assert sum(slept) <= 75
    assert all(least <= each <= least * 1.1 for least, each in zip(pauses, slept, strict=True))
    said = "no other attempt: Retry-After asks for more time than the schedule has\n"
    assert err.endswith(f"frappe-hooksig: {said}") == (len(pauses) < 3)


def test_retry_after_of_long_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for hours waits for as long as the receiver asks."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with FakeReceiver([Answer(503, headers={"Retry-After": "999999"}), 200]) as receiver:
        send(VERIFIED, receiver, "--retry", "FRAPPE")

    assert 86_400 <= slept[0] <= 86_400 * 1.1
    assert len(slept) == 1


def test_retry_of_a_blocked_address() -> None:
    """It is not waited for, whatever the schedule says."""
    url = f"http://127.0.0.1:{free_port()}/"
    out, err = says(UNREACHABLE, "send", "-e", "NEW", "--retry", "QUICK", url)

    assert err == "frappe-hooksig: attempt 1: blocked (address-not-allowed)\n"
    assert out.endswith("\nblocked: address-not-allowed\n")


def test_json() -> None:
    """Programs get all attempts, in one object."""
    with FakeReceiver([OUR_REFUSAL]) as receiver:
        origin = receiver.url.removesuffix("/")
        out, _ = send(REFUSED, receiver, "--json", "-H", "X-A: b")

    answer = json.loads(out)
    [attempt] = answer.pop("attempts")
    assert answer == {
        "delivered": False,
        "outcome": "refused",
        "method": "POST",
        "to": origin,
        "bytes": 21,
        "headers": [SIGNATURE, "X-A"],
        "id": None,
        "hint": None,
    }
    assert attempt.pop("seconds") >= 0
    assert attempt == {
        "outcome": "refused",
        "status": 401,
        "reason": "signature-mismatch",
        "message": "It does not match",
        "answer": None,
        "see": "docs/reasons.md#signature-mismatch",
        "retry_after": None,
        "address": "127.0.0.1",
    }


def test_json_of_what_is_accepted_and_blocked() -> None:
    """The id is there if it was sent, and the hint if it helps."""
    with FakeReceiver() as receiver:
        out, _ = send(VERIFIED, receiver, *STANDARD, "--json", "--id", "msg_1")
        blocked, _ = says(UNREACHABLE, "send", "-e", "NEW", "--json", receiver.url)

    accepted = json.loads(out)
    assert (accepted["delivered"], accepted["id"], accepted["hint"]) == (True, "msg_1", None)
    assert json.loads(blocked)["hint"] == ("to send there all the same, name it: --allow 127.0.0.1")


URL = "http://127.0.0.1:9/"  # where nothing is sent, because it is not allowed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing: URL"),
        (["example.com"], "URL: "),
        (["ftp://example.com/"], "URL: "),
        (["https://user:secret@example.com/"], "URL: "),
        ([URL, "body.json", "--data", "{}"], "--data is instead of BODY"),
        ([URL, "--data", "@body.json"], "--data is the body itself: for a file, leave out"),
        ([URL, "--method", "post"], "--method must be upper-case letters"),
        ([URL, "--method", "CONNECT"], "error: --method must not be CONNECT"),
        ([URL, "--timeout", "0"], "--timeout must be a number of seconds, up to 3600"),
        ([URL, "--timeout", "nan"], "--timeout must be a number of seconds"),
        ([URL, "--timeout", "soon"], "--timeout must be a number"),
        ([URL, "--id", "1"], "--id has no use: scheme 'frappe' signs no id"),
        ([URL, *STANDARD, "--id", "a.b"], "error: --id is not printable ASCII"),
        ([URL, "--allow", "10.0.0.0/99"], "--allow contains something, at place 1, that is no"),
        ([URL, "--allow", "x", "--allow", "http://x/"], "--allow contains something, at place 2"),
        ([URL, "--retry", "often"], "--retry must be one of QUICK, FRAPPE, STANDARD_WEBHOOKS"),
        ([URL, "-H", "no colon"], "-H: each header must have the form Name: value"),
        ([URL, "-H", "Content-Length: 3"], "error: -H: has Content-Length, which the"),
        ([URL, "-H", f"{SIGNATURE}: x"], f"-H: has {SIGNATURE}, which the sender"),
        ([URL, "-H", "X-A: 1", "-H", "x-a: 2"], "-H: a header is given twice"),
        ([URL, "-H", "@-"], "standard input can be read only once"),
        ([URL, "-f", "-"], "standard input can be read only once"),
        ([URL, "no-such-file"], "BODY: cannot read the file: No such file"),
        ([URL, "a", "b"], "an argument too many"),
        ([URL, "-e", "MISSING_SECRET"], "MISSING_SECRET is not set"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_use(arguments: list[str], message: str) -> None:
    """Wrong use is explained, and nothing is sent."""
    secret = [] if "-e" in arguments else ["-e", "NEW"]
    out, err = says(USAGE, "send", *secret, *arguments)

    assert out == ""
    assert message in err
    assert "secret@" not in err


def test_help_loads_no_network() -> None:
    """The help does without http.client and ssl."""
    code = "from frappe_hooksig.cli._commands import make_parser; make_parser(['send'])"

    assert loaded_by(code) & {"http.client", "ssl", "frappe_hooksig.sending._sender"} == set()
