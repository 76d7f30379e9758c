"""Headers as frameworks and HTTP libraries hold them."""

from __future__ import annotations

from typing import Any, ClassVar

import httpx
from requests.structures import CaseInsensitiveDict
from starlette.datastructures import Headers as StarletteHeaders
from werkzeug.datastructures import EnvironHeaders, MultiDict
from werkzeug.datastructures import Headers as WerkzeugHeaders

from tests.test_headers import CasesOfOneKind, pytest_generate_tests

__all__ = ["TestFrameworks", "pytest_generate_tests"]


def environ(*pairs: tuple[str, str]) -> EnvironHeaders:
    """Return headers as a WSGI server hands them to Flask: doubled ones joined."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        key = "HTTP_" + name.upper().replace("-", "_")
        joined[key] = f"{joined[key]},{value}" if key in joined else value
    return EnvironHeaders(joined)


class TestFrameworks(CasesOfOneKind):
    """Headers of frameworks."""

    KINDS: ClassVar[dict[str, Any]] = {
        "multidict": lambda *pairs: MultiDict(pairs),
        "werkzeug": lambda *pairs: WerkzeugHeaders(list(pairs)),
        "environ": environ,
        "starlette": lambda *pairs: StarletteHeaders(
            raw=[(name.lower().encode(), value.encode()) for name, value in pairs]
        ),
        "httpx": lambda *pairs: httpx.Headers(list(pairs)),
        "requests": lambda *pairs: CaseInsensitiveDict(pairs),
    }
    HOLD_ONE: ClassVar[set[str]] = {"environ", "requests"}
