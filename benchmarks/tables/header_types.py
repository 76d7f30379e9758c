"""Headers as frameworks keep them, against the three lines on the same object."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import starlette.datastructures
import werkzeug.datastructures

from benchmarks import by_hand
from benchmarks.comparison import Contender, Row, Table
from benchmarks.duel_table import compare
from benchmarks.measuring import Effort
from benchmarks.traffic import KIB, SECRET, document, requests, rewrapped
from frappe_hooksig import VerificationError, Verifier
from frappe_hooksig.providers import FRAPPE

TEXT = """\
1 KiB, accepted; both read the same headers object. The three lines take the first signature
there is; ours makes sure that there is only one, where the server has not joined them already."""


def measure(effort: Effort) -> Table:
    """Return the table."""
    return compare("Headers of frameworks", TEXT, rows(), effort)


def rows() -> Iterator[Row]:
    """Return a row for each kind of headers."""
    kinds: dict[str, Callable[[dict[str, str]], Any]] = {
        "dict": dict,
        "Werkzeug `Headers`": werkzeug.datastructures.Headers,
        "Werkzeug `EnvironHeaders` (Flask)": environ_headers,
        "Starlette `Headers`": starlette_headers,
    }
    verifier, hand = Verifier(SECRET), by_hand.three_lines(SECRET.encode())
    for title, wrap in kinds.items():
        yield Row(
            title=title,
            requests=rewrapped(requests(FRAPPE, document(KIB)), wrap),
            ours=Contender(name="ours", check=verifier.verify, refusal=VerificationError),
            others=(Contender(name="three lines", check=hand, refusal=by_hand.Refused),),
        )


def environ_headers(headers: dict[str, str]) -> werkzeug.datastructures.EnvironHeaders:
    """Return headers over a WSGI environ, as servers make one."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/webhook",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"] = value
    return werkzeug.datastructures.EnvironHeaders(environ)


def starlette_headers(headers: dict[str, str]) -> starlette.datastructures.Headers:
    """Return headers over an ASGI scope's pairs."""
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return starlette.datastructures.Headers(raw=pairs)
