"""httpx: transports that sign what a client sends, and nothing that a redirect leads elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from frappe_hooksig.integrations._extras import not_installed

try:
    import httpx
except ModuleNotFoundError as error:
    raise not_installed(error, "httpx") from None

from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig._keys import redacted
from frappe_hooksig._secret_checks import masked_unless
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations._request_signer import RequestSigner
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AsyncSignedTransport", "SignedTransport"]

# The extension of a request that keeps what was signed of it. httpx copies it for a redirect.
_EXTENSION = "frappe_hooksig"


class SignedTransport(httpx.BaseTransport):
    """Signs each request of an `httpx.Client`, and passes it on to another transport.

    Pass it as `transport=`. Whatever makes the body (`json=`, `data=`, `files=`, `content=` or
    nothing), the bytes that are signed are those that are sent. A file is read whole. Threads may
    share the transport.

    The client's own `verify=`, `cert=`, `http2=` and `limits=` have no effect on a transport that
    is passed: give them to the `httpx.HTTPTransport` that you pass on here. So with `proxy=`: what
    a client sends through its own proxy or `mounts=` is not signed.

    If the scheme signs an id, set its header (`Scheme.id_header`) yourself to send a delivery
    again. A request without this header gets a new id, which `response.request.headers` shows. They
    do not show the signature, so that no redirect can copy it.

    A redirect is signed anew if it leads to the same scheme, host and port, and keeps the method
    and the body, as 307 and 308 do. Any other one has no signature.

    Args:
        secret: The shared secret; a list during a rotation, the newest first.
        scheme: How the receiver expects the signature.
        transport: Sends what is signed. By default a new `httpx.HTTPTransport`.
        clock: Returns the current time, in Unix seconds.

    Raises:
        ConfigurationError: A secret cannot be used, or there are more secrets than signatures that
            the header can carry. Or `transport` is none of `httpx.BaseTransport`.
    """

    def __init__(
        self,
        secret: Secrets | None,
        *,
        scheme: Scheme = FRAPPE,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        several = redacted(secret)
        del secret  # error reporters show the local variables of every frame
        scheme = masked_unless(Scheme, scheme)
        transport = masked_unless((httpx.BaseTransport, type(None)), transport)
        self._signer = RequestSigner(several, scheme, clock)
        if transport is not None and not isinstance(transport, httpx.BaseTransport):
            raise _no_transport(httpx.BaseTransport, transport)
        self._transport = httpx.HTTPTransport() if transport is None else transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sign a request and send it. httpx calls this.

        Raises:
            PayloadError: The scheme cannot sign this body.
            ConfigurationError: The body is a generator, which cannot be signed. Or the id or the
                method cannot be signed, or no secret is valid now.
        """
        _refuse_pieces(request)
        request.read()
        return self._transport.handle_request(_signed(request, self._signer))

    def close(self) -> None:
        """Close the other transport."""
        self._transport.close()

    def __enter__(self) -> Self:
        self._transport.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._transport.__exit__(exc_type, exc_value, traceback)

    def __repr__(self) -> str:
        return _shown(self)


class AsyncSignedTransport(httpx.AsyncBaseTransport):
    """`SignedTransport` for an `httpx.AsyncClient`.

    Args:
        secret: As for `SignedTransport`.
        scheme: As for `SignedTransport`.
        transport: Sends what is signed. By default a new `httpx.AsyncHTTPTransport`.
        clock: As for `SignedTransport`.

    Raises:
        ConfigurationError: As for `SignedTransport`. `transport` must be one of
            `httpx.AsyncBaseTransport`.
    """

    def __init__(
        self,
        secret: Secrets | None,
        *,
        scheme: Scheme = FRAPPE,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        several = redacted(secret)
        del secret  # error reporters show the local variables of every frame
        scheme = masked_unless(Scheme, scheme)
        transport = masked_unless((httpx.AsyncBaseTransport, type(None)), transport)
        self._signer = RequestSigner(several, scheme, clock)
        if transport is not None and not isinstance(transport, httpx.AsyncBaseTransport):
            raise _no_transport(httpx.AsyncBaseTransport, transport)
        self._transport = httpx.AsyncHTTPTransport() if transport is None else transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sign a request and send it. httpx calls this.

        Raises:
            PayloadError: As for `SignedTransport.handle_request()`.
            ConfigurationError: As for `SignedTransport.handle_request()`.
        """
        _refuse_pieces(request)
        await request.aread()
        return await self._transport.handle_async_request(_signed(request, self._signer))

    async def aclose(self) -> None:
        """Close the other transport."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._transport.__aexit__(exc_type, exc_value, traceback)

    def __repr__(self) -> str:
        return _shown(self)


@dataclass(frozen=True)
class _Signed:
    """What of a request decides whether the next one may be signed too."""

    method: str
    origin: tuple[bytes, bytes, int | None]
    body: bytes = field(repr=False)


# Stands for a request that was not signed. No request is like it.
_UNSIGNED = object()


def _signed(request: httpx.Request, signer: RequestSigner) -> httpx.Request:
    """Return the request to send instead of the client's, whose body is read.

    The client's own request gets no signature, because httpx copies its headers for a redirect,
    which may go through another transport.

    Raises:
        PayloadError: The scheme cannot sign this body.
        ConfigurationError: The id or the method cannot be signed, or no secret is valid now.
    """
    url, body, scheme = request.url, request.content, signer.scheme
    headers = httpx.Headers(request.headers)
    host = headers.get("Host", url.netloc.decode("ascii"))
    given = None if scheme.id_header is None else headers.get(scheme.id_header)
    for name in scheme.header_names:
        headers.pop(name, None)
    if "Content-Length" in headers:
        headers["Content-Length"] = str(len(body))  # of a file that has grown meanwhile
    now = _Signed(request.method, (url.raw_scheme, url.raw_host, url.port), body)
    if request.extensions.get(_EXTENSION, now) == now:
        headers.update(
            signer.headers(
                body,
                id=given,
                coding=headers.get("Content-Encoding"),
                method=request.method,
                url=f"{url.scheme}://{host}{url.raw_path.decode('ascii')}",
            )
        )
        if scheme.id_header is not None:
            request.headers[scheme.id_header] = headers[scheme.id_header]
        request.extensions = {**request.extensions, _EXTENSION: now}
    else:
        request.extensions = {**request.extensions, _EXTENSION: _UNSIGNED}
    return httpx.Request(
        request.method, url, headers=headers, content=body, extensions=request.extensions
    )


def _refuse_pieces(request: httpx.Request) -> None:
    """Refuse a body whose length nobody knows before it is sent.

    Raises:
        ConfigurationError: It is such a body.
    """
    is_whole = isinstance(request.stream, httpx.ByteStream)
    if "Transfer-Encoding" in request.headers and not is_whole:
        msg = (
            "content= is a generator, or a file in it or in files= has no length, which cannot be "
            "signed: the signature is sent first, and needs the whole body. Pass bytes, or a file "
            "on disk"
        )
        raise ConfigurationError(msg)


def _no_transport(wanted: type, given: object) -> ConfigurationError:
    kind = type(given)
    msg = (
        f"transport= must be an httpx.{wanted.__name__}, not a {kind.__module__}."
        f"{kind.__qualname__}"
    )
    return ConfigurationError(msg)


def _shown(transport: SignedTransport | AsyncSignedTransport) -> str:
    signer = getattr(transport, "_signer", None)
    shown = "refused" if signer is None else f"scheme={signer.scheme.name!r}"
    return f"{type(transport).__name__}({shown})"
