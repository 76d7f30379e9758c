"""Sign requests for tests, in the shape of each framework's test client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from io import BytesIO
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig._headers import Header
from frappe_hooksig._keys import redacted
from frappe_hooksig._overriding import current_clock
from frappe_hooksig._payload import Payload
from frappe_hooksig._secret_checks import masked_unless
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets
from frappe_hooksig.sign import Signer

_CONTENT_TYPE = "content-type"

#: What an ASGI server passes to an app: the scope, and the function that returns the body.
AsgiRequest: TypeAlias = tuple[dict[str, Any], Callable[[], Awaitable[dict[str, Any]]]]


class SignedRequest:
    """A request to send to a receiver in a test.

    The properties `for_...` are keyword arguments for the test client of a framework:

    >>> from frappe_hooksig.providers import FRAPPE
    >>> request = signed_request(FRAPPE, {"name": "SO-00001"}, "S6D3Kvx1yMJ8Hv5Gm2QzTn4wRb7LpXce")
    >>> sorted(request.for_flask)  # client.post("/webhook", **request.for_flask)
    ['data', 'headers']

    Attributes:
        body: The raw body.
        headers: The (name, value) pairs, in their order. A name may occur twice. A character of a
            value is a byte (ISO 8859-1).
        method: The HTTP method.
        url: The URL that was signed; None if the scheme signs none.
    """

    __slots__ = ("body", "headers", "method", "url")

    def __init__(
        self,
        body: bytes,
        headers: Iterable[tuple[str, str]],
        *,
        method: str = "POST",
        url: str | None = None,
    ) -> None:
        self.body = body
        self.headers = [*headers]
        self.method = method
        self.url = url

    @property
    def for_flask(self) -> dict[str, Any]:
        """Arguments for Flask's test client, and for `werkzeug.test.Client` in a Frappe site."""
        return {"data": self.body, "headers": [*self.headers]}

    @property
    def for_django(self) -> dict[str, Any]:
        """Arguments for Django's `Client` and `AsyncClient`. Repeated headers are joined."""
        headers = self._joined()
        # Without a content type, the client would encode the body as a form.
        content_type = headers.pop(_CONTENT_TYPE, "application/octet-stream")
        # The client would encode the body anew for a charset that it finds after a space.
        content_type = content_type.replace("; charset=", ";charset=")
        return {"data": self.body, "content_type": content_type, "headers": headers}

    @property
    def for_httpx(self) -> dict[str, Any]:
        """Arguments for httpx, and for the `TestClient` of Starlette and FastAPI."""
        return {"content": self.body, "headers": self._raw()}

    @property
    def for_requests(self) -> dict[str, Any]:
        """Arguments for requests. Repeated headers are joined."""
        headers = {name: value.encode("latin-1") for name, value in self._joined().items()}
        return {"data": self.body, "headers": headers}

    def wsgi(self, path: str = "/") -> dict[str, Any]:
        """Return the environ that a WSGI server makes of the request (PEP 3333).

        Args:
            path: The path, percent-encoded, with or without a query.
        """
        from wsgiref.util import setup_testing_defaults

        path, _, query = path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.method,
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(self.body)),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.input": BytesIO(self.body),
        }
        setup_testing_defaults(environ)
        for name, value in self._joined().items():
            environ[Header(name).key] = value
        return environ

    def asgi(self, path: str = "/") -> AsgiRequest:
        """Return the scope and the receive function that an ASGI server makes of the request.

        Args:
            path: The path, percent-encoded, with or without a query.
        """
        raw_path, _, query = path.partition("?")
        length = (b"content-length", b"%d" % len(self.body))
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": unquote_to_bytes(raw_path).decode("utf-8", "replace"),
            "raw_path": raw_path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": [(b"host", b"testserver"), length, *self._raw()],
            "client": ("127.0.0.1", 50000),
            "server": ("testserver", 80),
        }
        messages = iter([{"type": "http.request", "body": self.body, "more_body": False}])

        async def receive() -> dict[str, Any]:
            return next(messages, {"type": "http.disconnect"})

        return scope, receive

    def _raw(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as they are on the wire, with names in lower case."""
        pairs = self.headers
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]

    def _joined(self) -> dict[str, str]:
        """Return the headers by name in lower case; repeated ones are joined, as servers do."""
        joined: dict[str, str] = {}
        for name, value in self.headers:
            key = name.lower()
            joined[key] = f"{joined[key]},{value}" if key in joined else value
        return joined

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.headers)
        return f"<{type(self).__name__} {self.method}, {len(self.body)} bytes, headers {names}>"


def signed_request(
    scheme: Scheme,
    payload: Payload,
    secret: Secrets,
    *,
    url: str | None = None,
    method: str = "POST",
    id: str | None = None,  # noqa: A002
    timestamp: float | datetime | None = None,
    headers: Mapping[str, str] | None = None,
) -> SignedRequest:
    """Return a request that the sender of a scheme would make.

    Args:
        scheme: The scheme, such as `providers.GITHUB`.
        payload: bytes as they are, str as UTF-8; a dict, list, number, bool or None as JSON.
        secret: The secret of the route, or several during a rotation.
        url: The URL that is registered with the sender, if the scheme signs it.
        method: The HTTP method.
        id: The delivery's id, if the scheme signs one. By default a new one.
        timestamp: The time of signing, if the scheme signs one: Unix seconds or an aware datetime.
            By default now, by the clock of `override()` if there is one.
        headers: More headers, such as the sender's event. A Frappe site sends no Content-Type
            unless the webhook has a row for it, so this request has none either.

    Raises:
        PayloadError: The payload cannot be turned into bytes.
        ConfigurationError: The secret cannot be used, or an argument does not fit the scheme.
    """
    several = redacted(secret)
    del secret  # error reporters show the local variables of every frame
    scheme = masked_unless(Scheme, scheme)
    try:
        signer = Signer(several, scheme=scheme, clock=current_clock())
    except Exception:
        del payload  # it is the secret if the two were swapped
        raise
    signed = signer.sign(payload, id=id, timestamp=timestamp, method=method, url=url)
    pairs = [*as_sent(scheme, signed.headers).items(), *(headers or {}).items()]
    return SignedRequest(signed.body, pairs, method=method, url=url)


def as_sent(scheme: Scheme, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a payload without a Content-Type that the sender does not send."""
    is_frappe = scheme.name == FRAPPE.name
    return {
        name: value
        for name, value in headers.items()
        if not (is_frappe and name.lower() == _CONTENT_TYPE)
    }
