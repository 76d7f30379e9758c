"""Send one request of a command, which may be slow or wrong, and read the response."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from frappe_hooksig._escaping import escaped
from frappe_hooksig.cli._excerpt import excerpt
from frappe_hooksig.cli._outcome import WrongUse
from frappe_hooksig.sending import _exchange
from frappe_hooksig.sending._attempt import reported
from frappe_hooksig.sending._connection import connect, new_context
from frappe_hooksig.sending._deadline import Deadline
from frappe_hooksig.sending._lookup import look_up
from frappe_hooksig.sending._target import Target
from frappe_hooksig.testing._requests import SignedRequest

_MOST = 65536  # bytes of a response's body
_PIECES = 8  # of a body that is sent slowly

_SUCCESS: Final = range(200, 300)
_FAILURE: Final = range(400, 600)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: The HTTP status; None if there was no whole response.
        reason: Our reason for a refusal, such as `signature-mismatch`; empty in other responses.
        message: Our message, the title of a page, the start of another body, or why there was no
            response. Escaped.
    """

    status: int | None = None
    reason: str = ""
    message: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether the sender counts the delivery as accepted."""
        return self.status in _SUCCESS

    @property
    def is_of_handler(self) -> bool:
        """Whether something else than this package refused the delivery, such as the handler."""
        return self.status in _FAILURE and not self.reason


def target_of(url: str) -> Target:
    """Return where requests are sent.

    Raises:
        WrongUse: It is not an absolute HTTP URL, or it contains a password.
    """
    if not re.fullmatch(r"https?://[!-~]+", url):
        msg = "URL must be the receiver's whole URL: https://..., or http://... for tests"
        raise WrongUse(msg)
    if re.match(r"https?://[^/?#]*@", url):
        msg = "URL contains a user or password: put an Authorization header into a file (-H)"
        raise WrongUse(msg)
    try:
        return Target.of(url)
    except ValueError:
        msg = "URL has no valid host and port"
        raise WrongUse(msg) from None


def exchange(
    target: Target, request: SignedRequest, *, timeout: float, slowness: float = 0
) -> Answer:
    """Send a request to any address, and return what came back. Redirects are not followed.

    Args:
        target: Where to send it.
        request: The request.
        timeout: How long the exchange may take in total, in seconds.
        slowness: How long sending the body takes, in seconds, besides.
    """
    deadline = Deadline(timeout + slowness)
    try:
        addresses = look_up(target.host, target.port, deadline)
        context = new_context() if target.is_https else None
        with closing(connect(target, addresses, deadline, context=context)) as connection:
            connection.begin(deadline)
            pieces = _pieces(target, request, slowness)
            method = request.method
            response = _exchange.exchange(connection, pieces, method=method, longest=_MOST)
    except _exchange.PROBLEMS as error:
        _, message = _exchange.problem_of(error, timeout)
        return Answer(message=escaped(message))
    reason, message = reported(response.body)
    if not reason:
        message = excerpt(response.body)
    return Answer(status=response.status, reason=reason, message=message)


def _pieces(target: Target, request: SignedRequest, slowness: float) -> Iterator[memoryview]:
    body = request.body
    headers = [
        ("Host", target.authority),
        *request.headers,
        ("Content-Length", str(len(body))),
    ]
    head = _exchange.head_of(request.method, target.path, headers) + b"\r\n"
    if not slowness:
        yield memoryview(head + body)
        return
    size = -(-len(body) // _PIECES) or 1
    for piece in [head, *(body[start : start + size] for start in range(0, len(body), size))]:
        yield memoryview(piece)
        time.sleep(slowness / (_PIECES + 1))
