"""`frappe-hooksig sign`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from frappe_hooksig import Signer, providers
from tests.cli.command import BODY, ENVIRONMENT, NOW, REFUSED, USAGE, VERIFIED, WHSEC, says
from tests.senders import WHERE, secret_of


@pytest.mark.parametrize("name", providers.names())
def test_round_trip(name: str, tmp_path: Path) -> None:
    """What it prints is what `verify` reads."""
    scheme = providers.get(name)
    options = ["--scheme", name, "-e", "ITS_SECRET"]
    options += ["--url", WHERE["url"]] if "{url}" in scheme.signed else []
    environment = ENVIRONMENT | {"ITS_SECRET": secret_of(scheme)}
    out, err = says(VERIFIED, "sign", *options, environment=environment)
    (tmp_path / "headers").write_text(out)

    assert err == ""
    headers = f"@{tmp_path / 'headers'}"
    says(VERIFIED, "verify", *options, "-H", headers, environment=environment)


@pytest.mark.parametrize("name", ["frappe", "webhook-timestamped"])
@pytest.mark.parametrize("body", [BODY, b"", b"\xff\n"])
def test_round_trip_of_bytes(name: str, body: bytes, tmp_path: Path) -> None:
    """The bytes are signed as they are."""
    out, _ = says(VERIFIED, "sign", "--scheme", name, "-e", "NEW", body=body)
    (tmp_path / "headers").write_text(out)

    verify = ["verify", "--scheme", name, "-e", "NEW", "-H", f"@{tmp_path / 'headers'}"]
    says(VERIFIED, *verify, body=body)
    says(REFUSED, *verify, body=body + b"x")


def test_method_and_url(tmp_path: Path) -> None:
    """Where they are signed, they have to be the same, and `--request` says the method."""
    options = ["--scheme", "hubspot-v3", "-e", "NEW", "--url"]
    out, _ = says(VERIFIED, "sign", *options, "https://a.example", "--method", "PUT")
    (tmp_path / "headers").write_text(out)
    given = ["-H", f"@{tmp_path / 'headers'}"]
    request = f"PUT / HTTP/1.1\n{out}\n".encode() + BODY

    says(VERIFIED, "verify", *options, "https://a.example", "--method", "PUT", *given)
    says(REFUSED, "verify", *options, "https://a.example", *given)
    says(REFUSED, "verify", *options, "https://b.example", "--method", "PUT", *given)
    says(VERIFIED, "verify", *options, "https://a.example", "--request", "-", body=request)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scheme", "square"], "signs the URL: pass it with --url"),
        (["--scheme", "square", "--url", "/hook"], "url= must be the whole URL"),
        (["--scheme", "github", "--url", "https://a.example"], "does not sign the URL"),
    ],
)
@pytest.mark.parametrize("command", ["sign", "verify"])
def test_wrong_url(command: str, arguments: list[str], message: str) -> None:
    """One that is not signed, is none, or is missing."""
    _, err = says(USAGE, command, "-e", "NEW", *arguments)
    assert message in err


def test_id_and_timestamp() -> None:
    """A retry can be signed as the first attempt was."""
    arguments = ["sign", "--scheme", "standard-webhooks", "-e", "WHSEC", "--json"]
    arguments += ["--id", "msg_1", "--timestamp"]

    first, _ = says(VERIFIED, *arguments, str(NOW))
    again, _ = says(VERIFIED, *arguments, "2023-11-14T22:13:20Z")

    assert first == again
    signer = Signer(WHSEC, scheme=providers.STANDARD_WEBHOOKS)
    signed = signer.sign(BODY, id="msg_1", timestamp=NOW)
    assert json.loads(first) == {
        "scheme": "standard-webhooks",
        "headers": signed.headers,
        "signature": signed.signature,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--id", "1"], "id= has no use"),
        (["--timestamp", "1"], "timestamp= has no use"),
        (["--scheme", "stripe", "--timestamp", "1"], "10 digits of Unix seconds"),
        (["no-such-file"], "BODY: cannot read the file: No such file or directory"),
    ],
)
def test_contradictions(arguments: list[str], message: str) -> None:
    """An option that would have no effect is refused."""
    _, err = says(USAGE, "sign", "-e", "NEW", *arguments)

    assert message in err
