"""`frappe-hooksig verify`."""

from __future__ import annotations

import json
import time
from io import BytesIO
from pathlib import Path

import pytest

from frappe_hooksig import Signer, providers, sign_payload
from tests.cli.command import (
    BODY,
    ENVIRONMENT,
    HEADER,
    NOW,
    OLD,
    REFUSED,
    RIGHT,
    SECRET,
    SIGNATURE,
    USAGE,
    VERIFIED,
    WHSEC,
    says,
)


def test_genuine() -> None:
    """A genuine request has status 0, and it is said by which secret."""
    assert says(VERIFIED, "verify", "-e", "NEW", "-H", HEADER) == (
        "verified\nscheme: frappe\nsecret: NEW\n",
        "",
    )


def test_json() -> None:
    """Programs get the same as JSON."""
    out, _ = says(VERIFIED, "verify", "-e", "OLD", "-e", "NEW", "-H", HEADER, "--json")

    assert json.loads(out) == {
        "verified": True,
        "scheme": "frappe",
        "secret": "NEW",
        "id": None,
        "timestamp": None,
    }


def test_changed() -> None:
    """A changed body has status 1, and the reason is said."""
    out, err = says(REFUSED, "verify", "-e", "NEW", "-H", HEADER, body=BODY + b" ")

    assert out.startswith("refused: signature-mismatch\nX-Frappe-Webhook-Signature does not")
    assert err == ""


def test_refused_with_the_url() -> None:
    """The URL that was used is shown, without its query."""
    options = ["verify", "-e", "NEW", "--scheme", "square", "--url", "https://example.com/a?t=1"]
    header = "x-square-hmacsha256-signature: " + "A" * 43 + "="

    out, _ = says(REFUSED, *options, "-H", header)
    assert out.endswith("; the URL was https://example.com/a?...\n")
    out, _ = says(REFUSED, *options, "-H", header, "--json")
    assert json.loads(out)["message"].endswith("; the URL was https://example.com/a?...")


def test_refused_as_json() -> None:
    """Programs get reason, header and message."""
    out, _ = says(REFUSED, "verify", "-e", "NEW", "--json")

    answer = json.loads(out)
    assert answer["verified"] is False
    assert answer["reason"] == "missing-header"
    assert answer["header"] == SIGNATURE
    assert "unsigned" in answer["message"]


@pytest.mark.parametrize("body", [b"", b"\xff\x00\xfe", b"a\r\nb\r\n", bytes(range(256)) * 999])
def test_any_bytes(body: bytes, tmp_path: Path) -> None:
    """Binary, empty and long bodies are verified byte for byte, from a pipe or a file."""
    (tmp_path / "body").write_bytes(body)
    header = f"{SIGNATURE}: {sign_payload(body, SECRET).signature}"

    says(VERIFIED, "verify", "-e", "NEW", "-H", header, body=body)
    says(VERIFIED, "verify", "-e", "NEW", "-H", header, "-", body=body)
    says(VERIFIED, "verify", "-e", "NEW", "-H", header, tmp_path / "body", body=b"other")


def test_headers_of_a_file(tmp_path: Path) -> None:
    """`-H @FILE` takes a file's headers, as curl does; empty lines in it do not matter."""
    (tmp_path / "headers").write_bytes(f"Host: a\r\n{HEADER}\n\n".encode())

    says(VERIFIED, "verify", "-e", "NEW", "-H", "X-A: b", "-H", f"@{tmp_path / 'headers'}")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([HEADER, HEADER], "duplicate-header"),
        ([f"{SIGNATURE}:"], "malformed-header"),
        ([f"{SIGNATURE}: é"], "malformed-header"),
        ([f"{SIGNATURE}: \udcff"], "malformed-header"),
        ([f"{SIGNATURE.lower()}:\t {RIGHT[:-1]} "], "wrong-encoding"),
    ],
)
def test_reasons(headers: list[str], reason: str) -> None:
    """Every header counts, with the white space around its value taken off, as in HTTP."""
    options = [part for header in headers for part in ("-H", header)]

    out, _ = says(REFUSED, "verify", "-e", "NEW", *options)
    assert out.startswith(f"refused: {reason}\n")


def test_many_secrets() -> None:
    """All are tried, those of variables and of files."""
    header = f"{SIGNATURE}: {sign_payload(BODY, OLD).signature}"

    out, _ = says(VERIFIED, "verify", "-e", "NEW", "-e", "OLD", "-H", header)
    assert "secret: OLD\n" in out


def test_default_secret() -> None:
    """Without a word about it, Frappe's secret comes from its variable; no other scheme's."""
    environment = ENVIRONMENT | {"FRAPPE_WEBHOOK_SECRET": SECRET}

    says(VERIFIED, "verify", "-H", HEADER, environment=environment)
    _, err = says(USAGE, "verify", "--scheme", "github", environment=environment)
    assert "no secret: name an environment variable (-e) or a file (-f)" in err


@pytest.mark.parametrize(
    ("now", "status"),
    [
        (str(NOW), VERIFIED),
        ("1700000300", VERIFIED),
        ("1700000300.5", REFUSED),
        ("1699999699", REFUSED),
        ("2023-11-14T22:13:20Z", VERIFIED),
        ("2023-11-14T23:13:20+01:00", VERIFIED),
    ],
)
def test_now(now: str, status: int) -> None:
    """A request of the past can be judged as of then."""
    signed = sign_payload(BODY, SECRET, scheme=providers.STRIPE, timestamp=NOW)
    header = f"Stripe-Signature: {signed.headers['Stripe-Signature']}"
    arguments = ["verify", "--scheme", "stripe", "-e", "NEW", "-H", header]

    says(status, *arguments, "--now", now)
    out, _ = says(REFUSED, *arguments)
    assert out.startswith("refused: timestamp-too-old\n")


def test_tolerance() -> None:
    """The tolerance can be set, and is refused where there is no time."""
    signed = sign_payload(BODY, SECRET, scheme=providers.STRIPE, timestamp=time.time() - 1000)
    header = f"Stripe-Signature: {signed.headers['Stripe-Signature']}"
    arguments = ["verify", "--scheme", "stripe", "-e", "NEW", "-H", header]

    says(VERIFIED, *arguments, "--tolerance", "2000")
    says(REFUSED, *arguments, "--tolerance", "900.5")
    _, err = says(USAGE, "verify", "-e", "NEW", "-H", HEADER, "--tolerance", "1")
    assert "tolerance has nothing to check" in err


def test_id_and_time_are_shown() -> None:
    """What else was signed is said."""
    signer = Signer(WHSEC, scheme=providers.STANDARD_WEBHOOKS)
    signed = signer.sign(BODY, id="msg_1", timestamp=NOW)
    options = [part for pair in signed.headers.items() for part in ("-H", ": ".join(pair))]

    out, _ = says(
        VERIFIED,
        *("verify", "--scheme", "standard-webhooks", "-e", "WHSEC", "--now", str(NOW)),
        *options,
    )
    assert out.endswith("id: msg_1\ntimestamp: 1700000000.0\n")


def test_max_body() -> None:
    """A larger body is refused while it is read."""
    arguments = ["verify", "-e", "NEW", "-H", HEADER, "--max-body"]

    says(VERIFIED, *arguments, str(len(BODY)))
    out, _ = says(REFUSED, *arguments, str(len(BODY) - 1))
    assert out.startswith("refused: body-too-large\n")


def test_an_endless_body() -> None:
    """Reading stops at the limit."""
    with Path("/dev/zero").open("rb") as endless:
        out, _ = says(REFUSED, "verify", "-e", "NEW", "-H", HEADER, body=endless)
    assert out.startswith("refused: body-too-large\n")


class NeverRead(BytesIO):
    """A standard input that must not be read."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Fail."""
        raise AssertionError(size)


def test_bad_headers_are_refused_before_the_body() -> None:
    """Nobody has to send a body to learn that the headers are wrong."""
    out, _ = says(REFUSED, "verify", "-e", "NEW", body=NeverRead())

    assert out.startswith("refused: missing-header\n")
