"""Headers as other frameworks, and the functions of AWS, hand them over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from aiohttp.test_utils import make_mocked_request
from blacksheep import Headers as BlackSheepHeaders
from blacksheep import Request as BlackSheepRequest
from falcon.asgi import Request as FalconAsgiRequest
from falcon.request import Request as FalconRequest
from litestar import Request as LitestarRequest
from multidict import CIMultiDict
from quart.wrappers import Request as QuartRequest
from starlette.requests import Request as StarletteRequest
from tornado.httputil import HTTPHeaders
from werkzeug.datastructures import Headers as WerkzeugHeaders

from frappe_hooksig import ConfigurationError, Reason, VerificationError, Verifier, sign_payload
from frappe_hooksig._headers import indexed
from tests.test_headers import (
    NAME,
    CasesOfOneKind,
    environ_of,
    pytest_generate_tests,
    values_by_name,
)

__all__ = ["TestServers", "pytest_generate_tests"]

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
Pairs = tuple[str, str]


def scope_of(*pairs: Pairs) -> dict[str, Any]:
    """Return the scope of an ASGI server."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in pairs],
    }


def of_aiohttp(*pairs: Pairs) -> Any:
    return make_mocked_request("POST", "/", CIMultiDict(pairs))


def of_blacksheep(*pairs: Pairs) -> Any:
    return BlackSheepRequest(
        "POST", b"/", [(name.encode(), value.encode()) for name, value in pairs]
    )


def of_quart(*pairs: Pairs) -> Any:
    async def push(_path: str, _headers: WerkzeugHeaders) -> None: ...

    headers = WerkzeugHeaders([*pairs])
    scope: Any = scope_of(*pairs)
    return QuartRequest("POST", "http", "/", b"", headers, "", "1.1", scope, send_push_promise=push)


async def nothing() -> Any:
    """Stand for a body."""


REQUESTS: dict[str, Callable[..., Any]] = {
    "aiohttp": of_aiohttp,
    "BlackSheep": of_blacksheep,
    "Falcon": lambda *pairs: FalconRequest(environ_of(*pairs)),
    "Falcon, ASGI": lambda *pairs: FalconAsgiRequest(scope_of(*pairs), nothing),
    "Litestar": lambda *pairs: LitestarRequest(scope_of(*pairs)),  # type: ignore[arg-type]
    "Quart": of_quart,
    "Starlette": lambda *pairs: StarletteRequest(scope_of(*pairs)),
}


def headers_of(request: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that returns the headers of a request."""
    return lambda *pairs: request(*pairs).headers


def of_tornado(*pairs: Pairs) -> HTTPHeaders:
    headers = HTTPHeaders()
    for name, value in pairs:
        headers.add(name, value)
    return headers


def of_second_payload_format(*pairs: Pairs) -> dict[str, str]:
    """Return headers as API Gateway (HTTP APIs) and function URLs have them: repeated ones joined.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    return {name.lower(): ",".join(values) for name, values in values_by_name(*pairs).items()}


class TestServers(CasesOfOneKind):
    """Headers of frameworks without an adapter, and of AWS."""

    KINDS: ClassVar[dict[str, Any]] = {
        **{name: headers_of(request) for name, request in REQUESTS.items()},
        "BlackSheep's pairs": lambda *pairs: list(of_blacksheep(*pairs).headers),
        "Tornado": of_tornado,
        "AWS, first format": values_by_name,
        "AWS, second format": of_second_payload_format,
    }
    HOLD_ONE: ClassVar[set[str]] = {"Falcon", "Falcon, ASGI", "AWS, second format"}


@pytest.mark.parametrize("kind", TestServers.KINDS)
def test_verify(kind: str) -> None:
    """Each is verified as it is; a doubled signature is refused, also a joined one."""
    make = TestServers.KINDS[kind]
    right = sign_payload(b"{}", SECRET).headers[NAME]
    host = ("Host", "example.com")
    verifier = Verifier(SECRET)

    assert verifier.verify(b"{}", make(host, (NAME, right))).body == b"{}"
    for pairs, reason in (
        ([], Reason.MISSING_HEADER),
        ([(NAME, right), (NAME, right)], Reason.DUPLICATE_HEADER),
        ([(NAME, right[::-1])], Reason.SIGNATURE_MISMATCH),
        ([("HTTP_X_FRAPPE_WEBHOOK_SIGNATURE", right)], Reason.MISSING_HEADER),
        ([("wsgi.multithread", "1"), ("asgi", "1"), ("headers", "1")], Reason.MISSING_HEADER),
        ([(NAME, "é"), host], Reason.MALFORMED_HEADER),
    ):
        with pytest.raises(VerificationError) as caught:
            verifier.verify(b"{}", make(*pairs))
        assert caught.value.reason is reason


@pytest.mark.parametrize("kind", REQUESTS)
def test_request(kind: str) -> None:
    """A request in place of its headers is a mistake of the app, and the message names it."""
    request = REQUESTS[kind](("Host", "example.com"), (NAME, "a"))

    with pytest.raises(ConfigurationError, match=r"headers are \w*Request: pass the"):
        indexed(request)


def test_blacksheep_added_later() -> None:
    """What BlackSheep itself adds is text in bytes too."""
    headers = BlackSheepHeaders([])
    headers.add(NAME.encode(), sign_payload(b"{}", SECRET).headers[NAME].encode())

    assert Verifier(SECRET).verify(b"{}", headers)
