"""What `make test` takes of many that are alike: one of each kind. FULL=1 takes all of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, TypeVar

import pytest

from frappe_hooksig import Scheme
from tests.vectors import Vector

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

T = TypeVar("T")

FULL = os.environ.get("FULL") == "1"

# The headers that nearly every Frappe site sends. Any other one is a kind of its own.
_USUAL = {"accept", "accept-encoding", "connection", "content-length", "host", "user-agent"}


def one_of_each(items: Iterable[T], kind: Callable[[T], Hashable]) -> list[T]:
    """Return the first item of each kind, in their order.

    Args:
        items: Some items.
        kind: Returns the kind of an item.
    """
    first: dict[Hashable, T] = {}
    for item in items:
        first.setdefault(kind(item), item)
    return list(first.values())


def some_of(items: Iterable[T], kind: Callable[[T], Hashable]) -> list[T]:
    """Return one item of each kind; all items with FULL=1."""
    return list(items) if FULL else one_of_each(items, kind)


def at_full_size(*values: object) -> ParameterSet:
    """Return a row of a table that only `make stress` runs."""
    return pytest.param(*values, marks=[pytest.mark.long, pytest.mark.stress])


def layout(scheme: Scheme) -> Hashable:
    """Return everything that changes how headers are read or what is signed, but for the names.

    Two schemes with the same layout differ in data only: in the names of their headers, in the
    letters of a prefix, in how old a request may be.
    """
    return (
        scheme.signed,
        scheme.encoding,
        scheme.algorithm,
        scheme.digest,
        _shape(scheme.prefix),
        scheme.separator,
        bool(scheme.timestamp_header),
        _shape(scheme.timestamp_prefix),
        scheme.timestamp_is_first,
        scheme.timestamp_format if scheme.signs_timestamp else None,
        bool(scheme.id_header),
        len(scheme.signature_headers),
        scheme.secret_format,
        scheme.signs_decoded_body,
    )


def capture_kind(capture: Vector) -> Hashable:
    """Return everything that an adapter may treat differently in what a Frappe site sent.

    The secret and the signature are none of it: the core judges them, and it gets every capture.
    """
    headers = {name.lower(): value for name, value in capture.headers}
    return (
        capture.method,
        capture.expect,
        headers.get("content-type"),
        "content-length" in headers,
        "transfer-encoding" in headers,
        frozenset(headers) - _USUAL,
        "".join(headers.values()).isascii(),
        _body_kind(capture.body),
    )


def _shape(prefix: str) -> str:
    """Return a prefix with its letters and digits as one x: "x=" of "sha256="."""
    return re.sub(r"\w+", "x", prefix)


def _body_kind(body: bytes) -> str:
    if not body:
        return "empty"
    try:
        text = "ASCII" if body.isascii() else "UTF-8"
        return f"{text}, JSON {type(json.loads(body)).__name__}"
    except ValueError:
        return "no JSON"
