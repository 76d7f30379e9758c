"""What `make test` leaves out is like something that it takes."""

from __future__ import annotations

from frappe_hooksig import providers
from tests.selection import capture_kind, layout, one_of_each
from tests.vectors import frappe_captures

SCHEMES = [providers.get(name) for name in providers.names()]


def test_one_of_each() -> None:
    """The first of each kind is taken, in the order of the items."""
    assert one_of_each(["a", "bb", "c", "dd", "eee"], len) == ["a", "bb", "eee"]


def test_layouts() -> None:
    """Each scheme that signs the URL or has several headers has a layout of its own."""
    taken = one_of_each(SCHEMES, layout)
    names = {scheme.name for scheme in taken}
    special = {
        scheme.name
        for scheme in SCHEMES
        if "{url}" in scheme.signed or len(scheme.signature_headers) > 1
    }

    assert special == {"box", "docusign", "hubspot-v2", "hubspot-v3", "square", "trello"}
    assert special <= names
    assert len(taken) >= 23


def test_capture_kinds() -> None:
    """Each method, outcome and Content-Type is taken, and each odd framing, header and body."""
    captures = frappe_captures()
    taken = one_of_each(captures, capture_kind)

    for each in (captures, taken):
        assert {capture.method for capture in each} == {"DELETE", "GET", "POST", "PUT"}
        assert {capture.expect for capture in each} == {
            *("accept", "header-overridden", "naive-sender", "redirect-drops-body"),
            *("rendered-twice", "secret-rewritten", "unsigned"),
        }
        assert {capture.body[:1] for capture in each} == {b"", b"n", b"[", b"t", b"{"}
    assert len(taken) == 23
