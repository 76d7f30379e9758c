"""Forms are read strictly."""

from __future__ import annotations

import pytest
from delivery_service.pages.forms import Fields, Unusable

from tests.delivery_service.pages.visiting import Visitor

FORM = "application/x-www-form-urlencoded"
REFUSED = {
    "JSON": ("application/json", b"{}", 415),
    "a file": ("multipart/form-data; boundary=x", b"--x--", 415),
    "plain text": ("text/plain", b"csrf_token=", 415),
    "many fields": (FORM, b"&".join([b"a=b"] * 101), 400),
    "no UTF-8": (FORM, b"a=%ff", 400),
    "half of a character": (FORM, b"a=%ED%B2%80", 400),
    "bytes": (FORM, b"a=\xff", 400),
}


@pytest.mark.parametrize(("kind", "body", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(visitor: Visitor, kind: str, body: bytes, status: int) -> None:
    """What no form of the page sends is refused with a page."""
    answer = visitor.post(
        "/keys/new", content=body, headers={"Content-Type": kind, "Origin": visitor.origin}
    )

    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "text/html; charset=utf-8",
    )


def test_fields() -> None:
    """A field has no spaces around it, a password has; a doubled one counts once."""
    fields = Fields([("a", " b "), ("a", "c"), ("lines", "x\r\n\r\n y ")])

    assert fields.text("a") == "b"
    assert fields.password("a") == " b "
    assert fields.every("a") == [" b ", "c"]
    assert fields.as_typed()["a"] == " b "
    assert fields.lines("lines", 2) == ["x", "y"]
    assert (fields.text("none"), fields.password("none")) == ("", "")


@pytest.mark.parametrize("value", ["a" * 201, "a\0b"], ids=["long", "NUL"])
def test_unusable(value: str) -> None:
    """What is too long, or what no database takes, is refused by the name of the field."""
    with pytest.raises(Unusable, match=r"^the event types "):
        Fields([("event_types", value)]).text("event_types")
