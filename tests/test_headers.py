"""Headers: every kind that people hand over."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from requests.structures import CaseInsensitiveDict
from starlette.datastructures import Headers as StarletteHeaders
from werkzeug.datastructures import EnvironHeaders
from werkzeug.datastructures import Headers as WerkzeugHeaders

from frappe_hooksig import Reason, VerificationError
from frappe_hooksig.headers import MAX_HEADER, header_text

NAME = "X-Frappe-Webhook-Signature"


def message(*pairs: tuple[str, str]) -> Message:
    """Return headers as http.server has them."""
    headers = Message()
    for name, value in pairs:
        headers[name] = value
    return headers


def environ(*pairs: tuple[str, str]) -> EnvironHeaders:
    """Return headers as a WSGI server hands them to Flask: doubled ones joined."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        key = "HTTP_" + name.upper().replace("-", "_")
        joined[key] = f"{joined[key]},{value}" if key in joined else value
    return EnvironHeaders(joined)


KINDS: dict[str, Any] = {
    "dict": lambda *pairs: dict(pairs),
    "pairs": lambda *pairs: list(pairs),
    "generator": lambda *pairs: (pair for pair in pairs),
    "bytes": lambda *pairs: [(name.encode(), value.encode()) for name, value in pairs],
    "werkzeug": lambda *pairs: WerkzeugHeaders(list(pairs)),
    "environ": environ,
    "starlette": lambda *pairs: StarletteHeaders(
        raw=[(name.lower().encode(), value.encode()) for name, value in pairs]
    ),
    "httpx": lambda *pairs: httpx.Headers(list(pairs)),
    "email.message": message,
    "requests": lambda *pairs: CaseInsensitiveDict(pairs),
    "read-only": lambda *pairs: MappingProxyType(dict(pairs)),
}
EACH = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


@EACH
@pytest.mark.parametrize(
    "spelling", [NAME, NAME.lower(), NAME.upper(), "x-FRAPPE-webhook-Signature"]
)
def test_any_case(make: Any, spelling: str) -> None:
    """A header is found however it is spelled."""
    headers = make(("Host", "a"), (spelling, "abc="), ("Accept", "*/*"))

    assert header_text(headers, NAME) == "abc="


@EACH
def test_absent(make: Any) -> None:
    """An absent header is None."""
    assert header_text(make(("Host", "a")), NAME) is None
    assert header_text(make(), NAME) is None


@EACH
def test_empty(make: Any) -> None:
    """An empty header is there."""
    assert header_text(make((NAME, "")), NAME) == ""


HOLD_ONE = {"dict", "environ", "requests", "read-only"}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in HOLD_ONE])
def test_doubled(kind: str) -> None:
    """A header that came twice is refused where the server kept both, equal or not."""
    with pytest.raises(VerificationError) as caught:
        header_text(KINDS[kind]((NAME, "abc="), (NAME, "abc=")), NAME)

    assert caught.value.reason is Reason.DUPLICATE_HEADER
    assert caught.value.header == NAME


@pytest.mark.parametrize("second", [NAME.lower(), NAME.upper()])
def test_doubled_in_two_spellings(second: str) -> None:
    """A dict can hold a header twice too."""
    with pytest.raises(VerificationError) as caught:
        header_text({NAME: "a", second: "a"}, NAME)

    assert caught.value.reason is Reason.DUPLICATE_HEADER


def test_none_is_absent() -> None:
    """What `.get()` of a missing header returned, put into a dict, is still missing."""
    assert header_text({NAME: None}, NAME) is None


def test_lower_case_name() -> None:
    """A header that is documented in lower case is found as HTTP/1 servers spell it."""
    assert header_text({"Webhook-Id": "msg_1"}, "webhook-id") == "msg_1"


@pytest.mark.parametrize(
    "text", ["é", "Ã©", "a\n", "a\r\nb", "\x00", "a\tb", "\x7f", "\ud800", "１"], ids=ascii
)
def test_unprintable(text: str) -> None:
    """A value that cannot be a signature, a time or an id is malformed, and no exception else."""
    with pytest.raises(VerificationError) as caught:
        header_text({NAME: text}, NAME)

    assert caught.value.reason is Reason.MALFORMED_HEADER
    assert text not in str(caught.value)


def test_longest() -> None:
    """The limit itself is accepted, one more is not."""
    assert header_text({NAME: "a" * MAX_HEADER}, NAME)
    with pytest.raises(VerificationError, match="longer than 8192"):
        header_text({NAME: "a" * (MAX_HEADER + 1)}, NAME)


@pytest.mark.parametrize("value", [["a"], 1, object()], ids=repr)
def test_value_of_another_type(value: Any) -> None:
    """A value that is no text is refused, whatever made it."""
    with pytest.raises(VerificationError, match="not text"):
        header_text({NAME: value}, NAME)


def test_odd_bytes_in_a_parsed_message() -> None:
    """email.message makes an object of a header with bytes above ASCII; it is malformed."""
    parsed = message_from_bytes(f"{NAME}: ".encode() + b"\xe9\xff\r\n\r\n")

    with pytest.raises(VerificationError) as caught:
        header_text(parsed, NAME)
    assert caught.value.reason is Reason.MALFORMED_HEADER


@pytest.mark.parametrize("headers", [None, 1, "X-A: b", b"X-A: b"], ids=repr)
def test_no_headers_at_all(headers: Any) -> None:
    """What is no headers is the caller's mistake."""
    with pytest.raises(TypeError, match="not a mapping"):
        header_text(headers, NAME)
