"""Hints: what the request shows about its mismatch, but no MAC proves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from frappe_hooksig.explain._body_causes import REWRITTEN
from frappe_hooksig.explain._findings import Step
from frappe_hooksig.explain._rendering_causes import has_times
from frappe_hooksig.explain._request import Request
from frappe_hooksig.explain._tries import SIZES
from frappe_hooksig.explain._url_causes import shown_url
from frappe_hooksig.scheme import Scheme

_CODINGS = {b"\x1f\x8b": "gzip", b"\x78\x01": "zlib", b"\x78\x9c": "zlib", b"\x28\xb5": "zstd"}
_TWICE = "Frappe renders the payload once to sign, and once to send"
_ROUND = 1024  # bytes: limits are multiples of it


def hints(request: Request, scheme: Scheme, sizes: frozenset[int]) -> Iterator[Step]:
    """Yield hints, the most telling first.

    Args:
        request: The request.
        scheme: The caller's scheme.
        sizes: The lengths of all signatures in the request, in bytes.
    """
    yield from _about_headers(request, scheme, sizes)
    yield from _about_body(request, scheme)
    if scheme.signs_url and request.url is not None:
        evidence = f"the URL {shown_url(request.url)} was used"
        yield Step("url-differs", f"{evidence}, and no likely variant of it matches")
    if scheme.name == "frappe" and has_times(request.body):
        yield Step("rendered-twice", f"the body has times, and {_TWICE}")
    evidence = "no secret that you passed gives this signature, not even with a usual mistake"
    yield Step("secret-other", evidence)
    if scheme.name == "frappe":
        yield Step("rendered-twice", f"if the secret is right: {_TWICE}")


def _about_headers(request: Request, scheme: Scheme, sizes: frozenset[int]) -> Iterator[Step]:
    needed = [scheme.timestamp_header, scheme.id_header]
    missing = [name for name in needed if name is not None and not request.texts(name)]
    values = [text for name in scheme.signature_headers for text in request.texts(name)]
    if not values:
        missing.insert(0, scheme.signature_headers[0])
    for name in missing:
        yield Step("header-missing", f"the request has no {name}")
    doubled = [name for name in scheme.header_names if len(request.texts(name)) > 1]
    for name in doubled:
        yield Step("header-doubled", f"{name} occurs more than once")
    is_token = any(re.match(r"\s*(?:bearer|basic|token) ", text.lower()) for text in values)
    no_size_fits = sizes.isdisjoint(SIZES.values())
    if values and scheme.signs_body and (is_token or no_size_fits):
        name = scheme.signature_headers[0]
        overridden = Step("header-overridden", f"what {name} has is no signature in any encoding")
        truncated = Step("signature-truncated", f"what {name} has is shorter than 128 bits")
        texts = [text.strip() for text in values]
        if any(re.fullmatch(r"(?:\S*[^0-9a-fA-F])?[0-9a-fA-F]{6,31}", text) for text in texts):
            yield truncated
            yield overridden
        else:
            yield overridden
            if any(re.fullmatch(r"\S*?[0-9A-Za-z+/_-]{1,21}={0,2}", text) for text in texts):
                yield truncated


def _about_body(request: Request, scheme: Scheme) -> Iterator[Step]:
    body = request.body
    if not body and scheme.signs_body:
        method = f" with the method {request.method}" if request.method == "GET" else ""
        redirected = Step("redirected", f"the request came{method} without a body")
        chunked = request.text("transfer-encoding") is not None
        if chunked or (request.text("content-length") or "").lstrip("0"):
            evidence = "the headers announce a body, but it is empty: something read it before"
            yield Step("body-empty", evidence)
            yield redirected
        else:
            yield redirected
            yield Step("body-empty", "the body is empty: something may have read it before")
    stated = request.text("content-length") or ""
    if re.fullmatch(r"(?a)\d{1,18}", stated) and int(stated) != len(body):
        evidence = f"Content-Length says {int(stated)}, but {len(body)} bytes came"
        yield Step("body-truncated", evidence)
    if body[:1] in {b"{", b"["} and _has_no_end(body):
        yield Step("body-truncated", "the JSON in the body has no end")
    elif body and len(body) % _ROUND == 0:
        yield Step("body-truncated", f"the body has exactly {len(body)} bytes, as if at a limit")
    coding = request.text("content-encoding") or _CODINGS.get(body[:2])
    if coding and coding.lower() != "identity":
        yield Step("body-compressed", "the body is compressed, or Content-Encoding says so")
    if b"\xef\xbf\xbd" in body:
        yield Step("body-charset", "the body has U+FFFD, so something decoded it and lost bytes")
    if body.startswith(b"--") and b"Content-Disposition" in body[:1024]:
        yield Step("body-multipart", "the body is multipart")


def _has_no_end(body: bytes) -> bool:
    """Whether something that begins like JSON is cut off."""
    if body.rstrip()[-1:] not in {b"}", b"]"}:
        return True
    if len(body) > REWRITTEN:
        return False
    try:
        json.loads(body)
    except json.JSONDecodeError as error:  # `{"a": {"b": 1}` is complete but for its end
        return error.pos >= len(error.doc.rstrip())
    except (ValueError, RecursionError):  # no text, or a hostile depth
        return False
    return False
