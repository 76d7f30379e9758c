"""Parse a captured HTTP request, and header lines, strictly."""

from __future__ import annotations

import os
import re
from typing import TypeAlias

from frappe_hooksig.cli._input import opened, read
from frappe_hooksig.cli._outcome import WrongUse
from frappe_hooksig.cli._output import complain

_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n\0]*)")
_REQUEST_LINE = re.compile(rb"[!-~]+ [!-~]+ HTTP/\d(\.\d)?")

Pairs: TypeAlias = list[tuple[bytes, bytes]]


def split_request(raw: bytes) -> tuple[str, Pairs, bytes]:
    """Split the bytes of an HTTP/1.1 request into its method, headers and body.

    The parser is strict: it refuses bytes that two servers could read differently (RFC 9112).

    Raises:
        WrongUse: The bytes are not a request, or are ambiguous.
    """
    blank = re.search(rb"\r?\n\r?\n", raw)  # an editor may have changed the line ends
    if blank is None:
        msg = "--request: there is no blank line after the headers"
        raise WrongUse(msg)
    first, *lines = re.split(rb"\r?\n", raw[: blank.start()])
    if not _REQUEST_LINE.fullmatch(first):
        msg = "--request: the first line must have the form POST /path HTTP/1.1"
        raise WrongUse(msg)
    headers = [_header(line, "--request") for line in lines]
    method, _, _ = first.partition(b" ")
    return method.decode(), headers, _framed(headers, raw[blank.end() :])


def read_headers(text: str) -> Pairs:
    """Return the header in the argument of `-H`, or all headers in its file.

    Raises:
        WrongUse: A header is not like `Name: value`, or the file cannot be read.
    """
    if not text.startswith("@"):
        return [_header(os.fsencode(text), "-H")]
    with opened(text[1:], "-H") as file:
        lines = re.split(rb"\r?\n", read(file, "-H"))
    return [_header(line, "-H") for line in lines if line]


def _header(line: bytes, option: str) -> tuple[bytes, bytes]:
    """Return the name and the value of a header line."""
    found = _HEADER.fullmatch(line)
    if found is None:
        # Do not show the header: it may contain a password.
        msg = f"{option}: each header must have the form Name: value"
        raise WrongUse(msg)
    return found[1], found[2].strip(b" \t")  # RFC 9112 section 5


def _framed(headers: Pairs, rest: bytes) -> bytes:
    """Return the body: the bytes after the headers, up to Content-Length."""
    names = [name.lower() for name, _ in headers]
    if b"transfer-encoding" in names:
        msg = (
            "--request: Transfer-Encoding is not supported: decode the body, and pass it as a file"
        )
        raise WrongUse(msg)
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    if not lengths:
        return rest
    stated = lengths[0]
    if len(lengths) > 1 or not re.fullmatch(rb"\d{1,18}", stated) or int(stated) > len(rest):
        msg = f"--request: Content-Length does not fit the {len(rest)} bytes after the headers"
        raise WrongUse(msg)
    body, beyond = rest[: int(stated)], rest[int(stated) :]
    if beyond.removeprefix(b"\r").removeprefix(b"\n"):  # an editor may have added a line end
        complain(f"warning: --request: {len(beyond)} bytes after the body are ignored")
    return body
