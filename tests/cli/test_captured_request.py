"""`frappe-hooksig verify --request`."""

from __future__ import annotations

from pathlib import Path

import pytest

from frappe_hooksig import sign_payload
from tests.cli.command import BODY, HEADER, REFUSED, SECRET, SIGNATURE, USAGE, VERIFIED, says

REQUEST = (
    b"POST /webhook?a=b HTTP/1.1\r\nHost: example.com\r\nContent-Length: 21\r\n"
    + HEADER.encode()
    + b"\r\n\r\n"
    + BODY
)


@pytest.mark.parametrize(
    "request_bytes",
    [
        REQUEST,
        REQUEST.replace(b"\r\n", b"\n"),
        REQUEST + b"\n",
        REQUEST.replace(b"Content-Length: 21\r\n", b""),
        REQUEST.replace(b"HTTP/1.1", b"HTTP/2"),
    ],
    ids=["wire", "editor", "line end", "no length", "HTTP/2"],
)
def test_genuine(request_bytes: bytes, tmp_path: Path) -> None:
    """A request as it came, or as an editor saved it, is taken apart."""
    (tmp_path / "request.http").write_bytes(request_bytes)

    says(VERIFIED, "verify", "-e", "NEW", "--request", tmp_path / "request.http")
    says(VERIFIED, "verify", "-e", "NEW", "--request", "-", body=request_bytes)


def test_bytes_behind_the_body() -> None:
    """What is behind the body is left out, and that is said."""
    request = REQUEST + b"POST /other HTTP/1.1"

    _, err = says(VERIFIED, "verify", "-e", "NEW", "--request", "-", body=request)
    assert "warning: --request: 20 bytes after the body are ignored" in err


def test_blank_lines_in_the_body() -> None:
    """The headers end with the first one."""
    body = b"\n\n\r\n\r\nx\n\n"
    head = f"POST / HTTP/1.1\n{SIGNATURE}: {sign_payload(body, SECRET).signature}\n\n"

    says(VERIFIED, "verify", "-e", "NEW", "--request", "-", body=head.encode() + body)


def test_unsigned() -> None:
    """One without headers is unsigned."""
    out, _ = says(REFUSED, "verify", "-e", "NEW", "--request", "-", body=b"GET / HTTP/1.1\n\n")

    assert out.startswith("refused: missing-header\n")


@pytest.mark.parametrize(
    ("request_bytes", "message"),
    [
        (b"", "no blank line"),
        (REQUEST.partition(b"\r\n\r\n")[0], "no blank line"),
        (BODY + b"\n\n", "the first line must have the form POST /path HTTP/1.1"),
        (REQUEST.replace(b"Host:", b"Host"), "each header must have the form Name: value"),
        (REQUEST.replace(b"Host:", b" Host:"), "each header must have the form Name: value"),
        (REQUEST.replace(b": 21", b": 22"), "Content-Length does not fit the 21 bytes"),
        (REQUEST.replace(b": 21", b": -1"), "Content-Length does not fit the 21 bytes"),
        (
            REQUEST.replace(b": 21", b": 21\r\nContent-length: 2"),
            "Content-Length does not fit the 21 bytes",
        ),
        (REQUEST.replace(b"Host: ", b"Host: \rX: "), "each header must have the form Name: value"),
        (REQUEST.replace(b"Host: ", b"Host: \0"), "each header must have the form Name: value"),
        (
            REQUEST.replace(b"Host: ", b"Host: a\r\n b"),
            "each header must have the form Name: value",
        ),
        (
            REQUEST.replace(b"Content-Length: 21", b"Transfer-Encoding: chunked"),
            "Transfer-Encoding is not supported: decode the body",
        ),
    ],
)
def test_no_request(request_bytes: bytes, message: str) -> None:
    """What is no request is said to be none; it is not refused, which would say more."""
    _, err = says(USAGE, "verify", "-e", "NEW", "--request", "-", body=request_bytes)

    assert message in err


@pytest.mark.parametrize("more", [["-H", HEADER], ["body.json"]])
def test_not_both(more: list[str]) -> None:
    """A request has its headers and its body."""
    _, err = says(USAGE, "verify", "-e", "NEW", "--request", "-", *more)

    assert "leave out -H and BODY" in err
