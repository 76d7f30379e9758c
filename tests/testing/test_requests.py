"""Signed requests, as each framework's test client and each kind of server takes them."""

from __future__ import annotations

from typing import Any

import pytest

from frappe_hooksig import ConfigurationError, Verifier, providers
from frappe_hooksig.testing import SignedRequest, signed_request
from tests.senders import secret_of

PAYLOAD = {"name": "SO-00001"}
URL = "https://example.com/webhook?a=1"


def request_of(name: str) -> SignedRequest:
    """Return a request of a provider."""
    scheme = providers.get(name)
    url = URL if scheme.signs_url else None
    return signed_request(scheme, PAYLOAD, secret_of(scheme), url=url)


@pytest.mark.parametrize("name", providers.names())
def test_every_scheme(name: str) -> None:
    """A request of each scheme is verified from what a WSGI server and an ASGI server have."""
    request, scheme = request_of(name), providers.get(name)
    verifier = Verifier(secret_of(scheme), scheme=scheme)
    scope, _ = request.asgi("/webhook?a=1")

    for headers in (request.headers, request.wsgi("/webhook?a=1"), scope["headers"]):
        delivery = verifier.verify(request.body, headers, method=request.method, url=request.url)
        assert delivery.json() == PAYLOAD


def test_repeated_headers() -> None:
    """A header stays doubled where it can, and is joined where a server would join it."""
    request = SignedRequest(b"{}", [("X-A", "é"), ("x-a", "b"), ("Content-Type", "text/plain")])

    assert request.for_flask["headers"] == request.headers
    assert request.for_httpx["headers"][:2] == [(b"x-a", b"\xe9"), (b"x-a", b"b")]
    assert request.asgi()[0]["headers"][2:4] == [(b"x-a", b"\xe9"), (b"x-a", b"b")]
    assert request.for_django["headers"] == {"x-a": "é,b"}
    assert request.for_django["content_type"] == "text/plain"
    assert request.for_requests["headers"]["x-a"] == b"\xe9,b"
    assert request.wsgi()["HTTP_X_A"] == "é,b"
    assert request.wsgi()["CONTENT_TYPE"] == "text/plain"


def test_frappe_sends_no_content_type() -> None:
    """So a view that needs one fails in the test too; a webhook's row for it may add one."""
    payload, secret = {"name": "SO-00001"}, secret_of(providers.FRAPPE)
    bare = signed_request(providers.FRAPPE, payload, secret)
    row = {"Content-Type": "application/json"}
    added = signed_request(providers.FRAPPE, payload, secret, headers=row)

    assert [name for name, _ in bare.headers] == ["X-Frappe-Webhook-Signature"]
    assert added.headers[-1] == ("Content-Type", "application/json")
    assert request_of("github").headers[0] == ("Content-Type", "application/json")


def test_repr_has_no_values() -> None:
    """Neither the body nor a header's value is in it."""
    assert repr(SignedRequest(b"{}", [("X-A", "b")])) == (
        "<SignedRequest POST, 2 bytes, headers X-A>"
    )


def test_swapped_arguments() -> None:
    """A secret in the place of the scheme is refused, and not shown."""
    secret: Any = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"

    with pytest.raises(ConfigurationError) as caught:
        signed_request(secret, {"a": 1}, "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs")
    assert secret not in str(caught.value)
