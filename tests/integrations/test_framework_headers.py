"""Headers as frameworks and HTTP libraries hold them."""

from __future__ import annotations

from typing import Any, ClassVar

import httpx
import pytest
from django.http.request import HttpHeaders
from requests.structures import CaseInsensitiveDict
from starlette.datastructures import Headers as StarletteHeaders
from werkzeug.datastructures import EnvironHeaders, MultiDict
from werkzeug.datastructures import Headers as WerkzeugHeaders

from frappe_hooksig import Scheme, Verifier, sign_payload
from tests.test_headers import CasesOfOneKind, pytest_generate_tests

__all__ = ["TestFrameworks", "pytest_generate_tests"]


def environ(*pairs: tuple[str, str]) -> EnvironHeaders:
    """Return headers as a WSGI server hands them to Flask: doubled ones joined."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        key = "HTTP_" + name.upper().replace("-", "_")
        joined[key] = f"{joined[key]},{value}" if key in joined else value
    return EnvironHeaders(joined)


@pytest.mark.parametrize("kind", ["werkzeug", "environ", "starlette", "httpx", "requests"])
def test_many_headers_of_one_scheme(kind: str) -> None:
    """Numbered headers are found in any framework's headers."""
    numbered = Scheme(
        name="numbered",
        signature_header=tuple(f"X-Signature-{n}" for n in range(1, 20)),
        encoding="base64",
        max_signatures=20,
    )
    signed = sign_payload(b"{}", ["the second of two secrets", "x" * 20], scheme=numbered)
    headers = TestFrameworks.KINDS[kind](("Host", "a"), *signed.headers.items())

    assert Verifier("the second of two secrets", scheme=numbered).verify(b"{}", headers)


class TestFrameworks(CasesOfOneKind):
    """Headers of frameworks."""

    KINDS: ClassVar[dict[str, Any]] = {
        "multidict": lambda *pairs: MultiDict(pairs),
        "werkzeug": lambda *pairs: WerkzeugHeaders(list(pairs)),
        "environ": environ,
        "django": lambda *pairs: HttpHeaders(dict(environ(*pairs).environ)),
        "starlette": lambda *pairs: StarletteHeaders(
            raw=[(name.lower().encode(), value.encode()) for name, value in pairs]
        ),
        "httpx": lambda *pairs: httpx.Headers(list(pairs)),
        "requests": lambda *pairs: CaseInsensitiveDict(pairs),
    }
    HOLD_ONE: ClassVar[set[str]] = {"environ", "django", "requests"}
