"""What receivers make of what senders send, and one that verifies requests of any scheme."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from frappe_hooksig import (
    Delivery,
    Scheme,
    VerificationError,
    Verifier,
    providers,
    verify_payload,
)
from frappe_hooksig.testing import ReceivedRequest
from tests.senders import secret_of

# What senders percent-encode, and what they leave as it is.
_PATH = "/a%20b/{name}?c=%C3%A9&d=e+f"


def verified(request: ReceivedRequest, scheme: Scheme, url: str) -> Delivery:
    """Verify what came to a `FakeReceiver` with this URL."""
    return verify_payload(
        request.body,
        request.headers,
        secret_of(scheme),
        scheme=scheme,
        method=request.method,
        url=url.rstrip("/") + request.path,
    )


def is_bare(request: ReceivedRequest, scheme: Scheme) -> bool:
    """Tell whether a request has no header of the scheme, nor any credentials."""
    names = {name.lower() for name, _ in request.headers}
    return names.isdisjoint({"authorization", *map(str.lower, scheme.header_names)})


@dataclass(frozen=True)
class Verified:
    """A request that came, and what was found.

    Attributes:
        delivery: What was verified, or None.
        refusal: Why it was refused, or an empty text.
        body: The raw body.
        headers: The headers, with their names in lower case.
    """

    delivery: Delivery | None
    refusal: str
    body: bytes
    headers: dict[str, str]


class VerifyingServer(ThreadingHTTPServer):
    """Verifies each request for the scheme that its path names, and keeps what it has found."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.found: deque[Verified] = deque()
        self._verifiers: dict[str, Verifier] = {}

    def url_of(self, scheme: Scheme) -> str:
        """Return the URL that senders of a scheme send to. Some of them sign it."""
        return f"http://127.0.0.1:{self.server_address[1]}{_PATH.format(name=scheme.name)}"

    def take(self) -> Verified:
        """Return the only request that has come since the last call."""
        (found,) = self.found
        self.found.clear()
        return found

    def verifier_for(self, path: str) -> Verifier:
        """Return the verifier of the scheme that a path names."""
        name = path.partition("?")[0].rpartition("/")[2]
        if name not in self._verifiers:
            scheme = providers.get(name)
            url = self.url_of(scheme) if scheme.signs_url else None
            self._verifiers[name] = Verifier(secret_of(scheme), scheme=scheme, url=url)
        return self._verifiers[name]


class _Handler(BaseHTTPRequestHandler):
    """Answers as an adapter does, over connections that are kept."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    server: VerifyingServer

    def _verify(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        url = f"http://{self.headers['Host']}{self.path}"
        verifier = self.server.verifier_for(self.path)
        answer = {"status": "received"}
        delivery, status = None, 200
        try:
            pairs = self.headers.items()
            delivery = verifier.verify(body, pairs, method=self.command, url=url)
        except VerificationError as error:
            status = error.status
            answer = {"status": "refused", "reason": error.reason, "message": error.message}
        named = {name.lower(): value for name, value in self.headers.items()}
        self.server.found.append(Verified(delivery, answer.get("message", ""), body, named))
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_DELETE = _verify  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Write no log."""


@contextmanager
def verifying_server() -> Iterator[VerifyingServer]:
    """Run the receiver in a thread until the block ends."""
    with VerifyingServer() as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
