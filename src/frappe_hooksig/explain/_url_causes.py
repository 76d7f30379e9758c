"""The URLs that a sender may have signed, instead of the one that the receiver knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, product
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from frappe_hooksig._escaping import escaped_url
from frappe_hooksig.explain._request import Request

_HOSTS = ("x-forwarded-host", "host", "x-original-host", "x-forwarded-server")
_PATHS = ("x-original-uri", "x-forwarded-uri", "x-original-url", "x-rewrite-url")
_PREFIXES = ("x-forwarded-prefix", "x-script-name")
_PORTS = ("443", "80", "8443", "8080", "8000", "5000", "3000")
_MOST = 1000
_BEFORE_PATH = re.compile(r"\A(?:[^/?#]*//)?[^/?#]*")
_REST = re.compile(r"[?#]|%3f|%23", re.IGNORECASE)  # begins a query or a fragment, perhaps encoded


def shown_url(url: str) -> str:
    """Return a URL for the evidence, without password, query and fragment: they may be secret."""
    path = _BEFORE_PATH.sub("", url)
    found = _REST.search(path)
    if found is None:
        return escaped_url(url)
    return f"{escaped_url(url.removesuffix(path[found.start() :]))}{found[0]}..."


def url_variants(url: str, request: Request) -> Iterator[tuple[str, str]]:
    """Yield other URLs, those with the fewest changes first, and the evidence for each.

    The evidence shows a URL only if its parts are known, and so which of them may be secret.

    Args:
        url: The URL.
        request: The request, for the headers in which proxies tell what they have changed.
    """
    try:
        scheme, host, path, query, fragment = urlsplit(url)
    except ValueError:  # such as an unfinished IPv6 address
        return
    tail = url[len(f"{scheme}://{host}") :]
    parts = (
        [("", scheme), *_schemes(scheme, request)],
        [("", host), *_hosts(host, request)],
        [("", path), *_paths(path, request)],
        [("", query), *_queries(query, request)],
        [("", fragment), *([("without fragment", "")] if fragment else [])],
    )
    several = sorted(product(*parts), key=lambda each: sum(bool(how) for how, _ in each))
    for chosen in islice(several, 1, _MOST):
        (_, one), (_, two), (_, three), (_, four), (_, five) = chosen
        ending = ("?" if four else "") + four + ("#" if five else "") + five
        how = ", ".join(how for how, _ in chosen if how)
        changed = f"{one}://{two}{three}{ending}"
        yield changed, f"the URL {how} is signed: {shown_url(changed)}"
    yield tail, "the URL without scheme and host is signed"
    yield path, "the path of the URL is signed"
    yield f"{host}{tail}", "the URL without its scheme is signed"
    yield unquote(url), "the URL without percent-encoding is signed"
    yield quote(url, safe=":/?&=#%"), "the URL with percent-encoding is signed"
    yield quote(url, safe=""), "the URL percent-encoded as a whole is signed"
    yield url.lower(), "the URL in lower case is signed"
    yield f"{url}?", "the URL with an empty query is signed"
    yield f"{url}#", "the URL with an empty fragment is signed"


def _schemes(scheme: str, request: Request) -> Iterator[tuple[str, str]]:
    for other in ("https", "http"):
        if other != scheme:
            yield f"with {other}", other
    if scheme.upper() != scheme and request.text("x-forwarded-proto") == scheme.upper():
        yield "with its scheme in upper case", scheme.upper()


def _hosts(host: str, request: Request) -> Iterator[tuple[str, str]]:
    user, _, place = host.rpartition("@")
    if user:
        yield "without user and password", place
    name, colon, port = place.rpartition(":")
    bare = name if colon and port.isdigit() else place
    if bare != place:
        yield "without port", bare
    if place.lower() != place:
        yield "with its host in lower case", place.lower()
    for header in _HOSTS:
        text = (request.text(header) or "").partition(",")[0].strip()
        if text and text != place:
            yield f"with the host in {header}", text
    for other in _PORTS:
        if other != port:
            yield f"with port {other}", f"{bare}:{other}"
    other = bare.removeprefix("www.") if bare.startswith("www.") else f"www.{bare}"
    yield "with www. or without it", other


def _paths(path: str, request: Request) -> Iterator[tuple[str, str]]:
    if path.endswith("/"):
        yield "without the slash at its end", path[:-1]
    else:
        yield "with a slash at its end", f"{path}/"
    for header in _PATHS:
        text = (request.text(header) or "").partition("?")[0]
        if text and text != path:
            yield f"with the path in {header}", text
    for header in _PREFIXES:
        prefix = (request.text(header) or "").rstrip("/")
        if prefix:
            yield f"with the prefix in {header}", prefix + path
    first, slash, rest = path.lstrip("/").partition("/")
    if first and slash:
        yield "without the first part of its path", f"/{rest}"
    if "//" in path:
        yield "without double slashes", path.replace("//", "/")
    for name, changed in (
        ("percent-decoded", unquote(path)),
        ("percent-encoded", quote(path, safe="/%")),
        ("in lower case", path.lower()),
    ):
        if changed != path:
            yield f"with its path {name}", changed


def _queries(query: str, request: Request) -> Iterator[tuple[str, str]]:
    for header in _PATHS:
        text = (request.text(header) or "").partition("?")[2]
        if text and text != query:
            yield f"with the query in {header}", text
    if not query:
        return
    yield "without query", ""
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=1000)
    for name, changed in (
        ("sorted", "&".join(sorted(query.split("&")))),
        ("percent-decoded", unquote(query)),
        ("with spaces as +", query.replace("%20", "+")),
        ("with spaces as %20", query.replace("+", "%20")),
        ("encoded anew", urlencode(pairs)),
        ("sorted and encoded anew", urlencode(sorted(pairs))),
        ("without its last parameter", query.rpartition("&")[0]),
        ("with &amp;", query.replace("&", "&amp;")),
    ):
        if changed != query:
            yield f"with its query {name}", changed
