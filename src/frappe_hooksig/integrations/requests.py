"""requests: sign what a session is about to send, and nothing that a redirect leads elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

from frappe_hooksig.integrations._extras import not_installed

try:
    from requests import PreparedRequest
    from requests.auth import AuthBase
    from urllib3.util import parse_url
except ModuleNotFoundError as error:
    raise not_installed(error, "requests") from None

from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig._keys import redacted
from frappe_hooksig._payload import serialised
from frappe_hooksig._secret_checks import masked_unless
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations._request_signer import RequestSigner
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets

__all__ = ["SignedAuth"]

_PORTS = {"http": 80, "https": 443}


class SignedAuth(AuthBase):
    """Signs each request, as the last thing before it is sent.

    Pass it as `auth=` of a request or of a `requests.Session`. Threads may share it. Whatever makes
    the body (`json=`, `data=`, `files=` or nothing), the bytes that are signed are those that are
    sent. A str is sent as UTF-8. A file is read whole.

    If the scheme signs an id, set its header (`Scheme.id_header`) yourself to send a delivery
    again. A request without this header gets a new id, which `response.request.headers` shows.

    A redirect is signed anew if it leads to the same scheme, host and port, and keeps the method
    and the body, as 307 and 308 do. Any other one has no signature. A retry of urllib3 (`Retry`)
    sends the same signed request again, with its old timestamp.

    A prepared request keeps its signature, but a `copy()` or a pickle of it has none.

    Args:
        secret: The shared secret; a list during a rotation, the newest first.
        scheme: How the receiver expects the signature.
        clock: Returns the current time, in Unix seconds.

    Raises:
        ConfigurationError: A secret cannot be used, or there are more secrets than signatures that
            the header can carry.
    """

    def __init__(
        self,
        secret: Secrets | None,
        *,
        scheme: Scheme = FRAPPE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        several = redacted(secret)
        del secret  # error reporters show the local variables of every frame
        scheme = masked_unless(Scheme, scheme)
        self._signer = RequestSigner(several, scheme, clock)

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Sign a prepared request. requests calls this.

        Raises:
            PayloadError: The scheme cannot sign this body.
            ConfigurationError: The body is a generator, which cannot be signed. Or the id or the
                method cannot be signed, or no secret is valid now.
        """
        _read_body(r)
        _sign(r, self._signer)
        r.__class__ = _SignedRequest
        vars(r)["signer"] = self._signer
        return r

    def __repr__(self) -> str:
        signer = getattr(self, "_signer", None)
        return f"SignedAuth({'refused' if signer is None else f'scheme={signer.scheme.name!r}'})"


class _SignedRequest(PreparedRequest):
    """A signed request. requests follows a redirect with a copy of it, and calls no auth for that.

    Attributes:
        signer: What has signed it.
    """

    signer: RequestSigner

    def copy(self) -> PreparedRequest:
        """Return a copy, which has no signature yet."""
        copied = _Redirected()
        vars(copied).update(vars(self.unsigned()), signer=self.signer, original=self)
        return copied

    def unsigned(self) -> PreparedRequest:
        """Return a plain copy without the headers of the signature."""
        plain = super().copy()
        for name in self.signer.scheme.header_names:
            plain.headers.pop(name, None)
        return plain

    def __reduce__(self) -> tuple[Any, ...]:
        return PreparedRequest, (), vars(self.unsigned())


class _Redirected(_SignedRequest):
    """A request that follows a redirect of a signed one.

    Attributes:
        original: The request that was redirected.
        is_signed: Whether this one is signed too.
    """

    original: _SignedRequest
    is_signed = False

    def prepare_cookies(self, cookies: Any) -> None:
        """Sign the request if it goes where the original went.

        requests calls this once it has changed the method, the URL and the body.
        """
        super().prepare_cookies(cookies)  # pyright: ignore[reportUnknownMemberType]
        original = self.original
        is_alike = (self.method, self.body) == (original.method, original.body)
        if is_alike and _have_one_origin(str(self.url), str(original.url)):
            # In the spelling that is sent, as the original.
            self.prepare_url(self.url, None)  # pyright: ignore[reportUnknownMemberType]
            name = self.signer.scheme.id_header
            if name is not None:
                self.headers[name] = original.headers[name]
            _sign(self, self.signer)
            self.is_signed = True

    def prepare_auth(self, auth: Any, url: Any = "") -> None:
        """Set the credentials that requests has found in .netrc, unless the request is signed."""
        if not self.is_signed:
            super().prepare_auth(auth, url)  # pyright: ignore[reportUnknownMemberType]

    def copy(self) -> PreparedRequest:
        """Return a copy, which is never signed if this one is not."""
        return super().copy() if self.is_signed else self.unsigned()


def _read_body(request: PreparedRequest) -> None:
    """Make the body of a request bytes, or None if it is empty.

    Raises:
        PayloadError: The body is a str with a lone surrogate.
        ConfigurationError: It can only be sent in pieces.
    """
    body: Any = request.body
    given = f"of type {type(body).__name__}"
    if hasattr(body, "read"):
        body = body.read()
        given = f"a file whose read() returns {type(body).__name__}"
        request.headers.pop("Transfer-Encoding", None)
        vars(request)["_body_position"] = None  # there is no file to rewind for a redirect
    elif body is None:
        body = b""
    if isinstance(body, bytearray | memoryview):
        body = bytes(cast("bytearray", body))
    if not isinstance(body, bytes | str):
        msg = (
            f"data= is {given}, which cannot be signed: the signature is sent first, and needs the "
            "whole body. Pass bytes, or an open file"
        )
        raise ConfigurationError(msg)
    request.body = serialised(body)[0] or None
    request.prepare_content_length(request.body)


def _sign(request: PreparedRequest, signer: RequestSigner) -> None:
    """Sign a request whose body is bytes or None.

    Raises:
        PayloadError: The scheme cannot sign this body.
        ConfigurationError: The id or the method cannot be signed, or no secret is valid now.
    """
    scheme, headers = signer.scheme, request.headers
    given = None if scheme.id_header is None else _text(headers.get(scheme.id_header))
    for name in scheme.header_names:
        headers.pop(name, None)
    headers.update(
        signer.headers(
            cast("bytes | None", request.body) or b"",
            id=given,
            coding=_text(headers.get("Content-Encoding")),
            method=str(request.method),
            url=_url_as_sent(request),
        )
    )


def _url_as_sent(request: PreparedRequest) -> str:
    """Return the URL that the receiver sees: of the Host header, and without a fragment."""
    parts = urlsplit(str(request.url))
    host = _text(request.headers.get("Host"))
    if host is None:
        host = parts.netloc.rpartition("@")[2].removesuffix(f":{_PORTS.get(parts.scheme)}")
    return f"{parts.scheme}://{host}{request.path_url}"


def _have_one_origin(url: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port.

    requests reads a URL with the parser of the standard library, and urllib3 with its own. Where a
    hostile URL means two different hosts to them, it has no origin in common with any other.
    """
    try:
        return _origins(url) == _origins(other)
    except ValueError:
        return False


def _origins(url: str) -> list[tuple[str | None, str | None, int | None]]:
    """Return the origin of a URL as each of the two parsers reads it.

    Raises:
        ValueError: One of them cannot.
    """
    one, two = urlsplit(url), parse_url(url)
    return [
        (scheme, host, port or _PORTS.get(str(scheme)))
        for scheme, host, port in (
            (one.scheme, one.hostname, one.port),
            (two.scheme, two.host, two.port),
        )
    ]


def _text(value: str | bytes | None) -> str | None:
    """Return the value of a header as text."""
    return value.decode("latin-1") if isinstance(value, bytes) else value
