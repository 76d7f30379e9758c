"""Secrets from environment variables and files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from frappe_hooksig import sign_payload
from tests.cli.command import BODY, ENVIRONMENT, SECRET, SIGNATURE, USAGE, VERIFIED, says


@pytest.mark.parametrize("options", [[], ["--raw"]])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n", " "])
def test_line_end_of_a_file(end: str, options: list[str], tmp_path: Path) -> None:
    """One line end is not part of the secret, unless it is said to be."""
    (tmp_path / "secret.txt").write_bytes((SECRET + end).encode())
    rest = {"\n": "", "\r\n": "", "\n\n": "\n"}.get(end, end)
    secret = SECRET + (end if options else rest)
    header = f"{SIGNATURE}: {sign_payload(BODY, secret).signature}"

    out, err = says(VERIFIED, "verify", "-f", "secret.txt", *options, "-H", header, cwd=tmp_path)
    assert "secret: secret.txt\n" in out
    assert ("white space" in err) == (secret != SECRET)
    was_ignored = end.endswith("\n") and not options
    note = "note: -f: the line end of the file was ignored. Your app may not ignore it: --raw\n"
    assert (f"frappe-hooksig: {note}" in err) == was_ignored
    _, err = says(VERIFIED, "sign", "-f", "secret.txt", *options, cwd=tmp_path)
    assert note not in err


def test_bytes_of_a_file(tmp_path: Path) -> None:
    """A file may hold any bytes."""
    secret = bytes(range(200, 232))
    (tmp_path / "secret").write_bytes(secret)
    header = f"{SIGNATURE}: {sign_payload(BODY, secret).signature}"

    says(VERIFIED, "verify", "-f", tmp_path / "secret", "-H", header)


@pytest.mark.skipif(os.name != "posix", reason="bytes in the environment")
def test_bytes_of_a_variable() -> None:
    """So may a variable."""
    secret = bytes(range(200, 232))
    header = f"{SIGNATURE}: {sign_payload(BODY, secret).signature}"
    environment = ENVIRONMENT | {"ODD": os.fsdecode(secret)}

    says(VERIFIED, "verify", "-e", "ODD", "-H", header, environment=environment)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-e", "NO_SECRET"], "the environment variable NO_SECRET is not set"),
        (["-e", "secret-by-mistake"], "is it the secret itself?) is not set"),
        (["-e", "NEW", "-e", "NEW"], "is named twice: name each secret once"),
        (["-f", "-"], "standard input can be read only once"),
        (["-f", "missing.txt"], "-f: cannot read the file: No such file or directory"),
        (["-f", "."], "Is a directory"),
        (["-f", "/proc/self/mem"], "-f: cannot read the file: Input/output error"),
        (["-e", "NEW", "-f", "empty.txt"], "the secret 'empty.txt' is empty"),
        (["-e", "MASKED"], "is a row of asterisks or dots"),
        (
            ["-e", "TEXT", "--scheme", "standard-webhooks"],
            "the environment variable TEXT must be base64 of a key",
        ),
    ],
)
def test_none(arguments: list[str], message: str, tmp_path: Path) -> None:
    """What cannot be a secret is said, with the place that it came from."""
    (tmp_path / "empty.txt").write_text("\n")
    environment = ENVIRONMENT | {"MASKED": "********", "TEXT": f"{SECRET}-"}

    for command in ("sign", "verify"):
        _, err = says(USAGE, command, *arguments, cwd=tmp_path, environment=environment)
        assert message in err


def test_suspicious() -> None:
    """A suspicious secret is used, and a word said about it."""
    environment = ENVIRONMENT | {"SHORT": "short"}

    out, err = says(VERIFIED, "sign", "-e", "SHORT", environment=environment)
    assert out.startswith(SIGNATURE)
    assert err.startswith(
        "frappe-hooksig: warning: the environment variable SHORT is shorter than 16 bytes"
    )
