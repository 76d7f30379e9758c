"""Which URL a request was sent to, as servers of both kinds tell it."""

from __future__ import annotations

from typing import Any

import pytest

from frappe_hooksig import Reason, VerificationError
from frappe_hooksig.integrations._urls import target_of_environ, target_of_scope, url_of

WSGI = {"wsgi.url_scheme": "https", "PATH_INFO": "/hook"}
ASGI = {"scheme": "https", "path": "/hook", "query_string": b""}


@pytest.mark.parametrize(
    ("environ", "target"),
    [
        ({"RAW_URI": "/a%20b?x=%C3%A9"}, "/a%20b?x=%C3%A9"),
        ({"REQUEST_URI": "/a%20b?x=%C3%A9"}, "/a%20b?x=%C3%A9"),
        ({}, "/hook"),
        ({"QUERY_STRING": "a=1&b"}, "/hook?a=1&b"),
        ({"SCRIPT_NAME": "/app"}, "/app/hook"),
        ({"PATH_INFO": "/caf\u00c3\u00a9 ;x=1"}, "/caf%C3%A9%20;x=1"),
    ],
)
def test_wsgi(environ: dict[str, Any], target: str) -> None:
    """As it was sent if the server says so, else as it would be spelled."""
    assert target_of_environ(WSGI | environ) == ("https", target)


@pytest.mark.parametrize(
    ("scope", "target"),
    [
        ({"raw_path": b"/a%20b"}, "/a%20b"),
        ({"raw_path": b"/a%20b", "query_string": b"x=%C3%A9"}, "/a%20b?x=%C3%A9"),
        ({}, "/hook"),
        ({"path": "/caf\u00e9 ;x=1", "query_string": b"\xff"}, "/caf%C3%A9%20;x=1?\u00ff"),
        ({"raw_path": None}, "/hook"),
        ({"query_string": "x=1"}, "/hook?x=1"),  # of Django's AsyncClient
    ],
)
def test_asgi(scope: dict[str, Any], target: str) -> None:
    """The same, from a scope."""
    assert target_of_scope(ASGI | scope) == ("https", target)


@pytest.mark.parametrize(
    ("headers", "trusted", "url"),
    [
        ({"Host": "a.example"}, False, "http://a.example/hook"),
        ({}, False, "http:///hook"),
        ({"Host": "a.example", "X-Forwarded-Host": "b.example"}, False, "http://a.example/hook"),
        ({"Host": "a.example", "X-Forwarded-Host": "b.example"}, True, "http://b.example/hook"),
        ({"host": "a.example", "x-forwarded-proto": "https"}, True, "https://a.example/hook"),
        ({"Host": "a.example", "X-Forwarded-Proto": ""}, True, "http://a.example/hook"),
    ],
)
def test_url(headers: dict[str, str], trusted: bool, url: str) -> None:  # noqa: FBT001
    """What a proxy says is believed where the user says so."""
    assert url_of(("http", "/hook"), headers, trust_forwarded=trusted) == url
    assert url_of(("http", "/hook"), headers.items(), trust_forwarded=trusted) == url


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host", "X-Forwarded-Proto"])
def test_doubled(name: str) -> None:
    """Nobody knows which of two the proxy has set."""
    headers = [("Host", "a.example"), (name, "b.example"), (name.lower(), "b.example")]

    with pytest.raises(VerificationError) as caught:
        url_of(("http", "/hook"), headers, trust_forwarded=True)
    assert caught.value.reason is Reason.DUPLICATE_HEADER


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host"])
@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("example.com", "https://example.com/orders?a=/b"),
        ("example.com:8443", "https://example.com:8443/orders?a=/b"),
        ("example.com/test", ""),
        ("example.com?test=", ""),
        ("example.com#", ""),
    ],
)
def test_host_is_no_path(name: str, host: str, expected: str) -> None:
    """What was signed for /test/orders is not taken at /orders, by a host that ends in /test."""
    target = ("https", "/orders?a=/b")

    assert url_of(target, {name: host}, trust_forwarded=True) == expected


@pytest.mark.parametrize("path", ["m/orders", "*", "https://example.com/orders", ""])
def test_path_is_no_host(path: str) -> None:
    """Nor can a host end in the path: h11 and Werkzeug let through one that begins without /."""
    assert not url_of(("https", path), {"Host": "example.co"}, trust_forwarded=False)


def test_path_that_no_server_can_send() -> None:
    """The path of an environ that breaks PEP 3333 is readable, as each refusal logs its path."""
    environ = {"wsgi.url_scheme": "https", "PATH_INFO": "/hook/\N{EURO SIGN}"}

    assert target_of_environ(environ) == ("https", "/hook/%3F")
