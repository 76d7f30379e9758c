"""Requests whose outcome is known, read from the JSON files beside this one."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from frappe_hooksig import Delivery, Scheme, Verifier

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Vector:
    """One request and what has to become of it.

    Attributes:
        id: Its name in the file.
        provider: Name of the scheme.
        secret: What the receiver has; several during a rotation.
        method: HTTP method.
        url: The registered URL, or None.
        headers: As they stood on the wire, in their order.
        body: The raw body.
        now: The receiver's clock, in Unix seconds.
        expect: "accept", else a word for why not.
    """

    id: str
    provider: str
    secret: Any
    method: str
    url: str | None
    headers: tuple[tuple[str, str], ...]
    body: bytes
    now: float
    expect: str

    def verify(self, scheme: Scheme) -> Delivery:
        """Verify it as a receiver would."""
        verifier = Verifier(self.secret, scheme=scheme, clock=lambda: self.now)
        return verifier.verify(self.body, self.headers, method=self.method, url=self.url)


def frappe_captures() -> list[Vector]:
    """Return the requests that real Frappe sites sent."""
    return [
        Vector(
            id=case["id"],
            provider="frappe",
            # Without a secret in Frappe's form nothing is signed; the receiver has one even so.
            secret=case["secret"] or "a secret the sender does not have",
            method=case["method"],
            url=None,
            headers=tuple((name, value) for name, value in case["headers"]),
            body=b64decode(case["body_b64"]),
            now=case["received_at"],
            expect=case["expect"] if case["expect"] != "refuse" else case["why"],
        )
        for case in _load("frappe-captures.json")["captures"]
    ]


def rewritten_secrets() -> list[tuple[Vector, str]]:
    """Return the captures whose secret Frappe rewrote on saving, each with what it stored."""
    stored = {
        case["id"]: case["secret_as_stored"]
        for case in _load("frappe-captures.json")["captures"]
        if "secret_as_stored" in case
    }
    return [(each, stored[each.id]) for each in frappe_captures() if each.id in stored]


@dataclass(frozen=True)
class Exchange:
    """A request to a real Frappe site, and what the site answered.

    Attributes:
        frappe: The site's version: "14", "15" or "16".
        name: Its name in the file; the same request has the same name in all versions.
        method: HTTP method.
        path: With the query.
        headers: Without Host and Content-Length.
        body: What stood on the wire after the headers.
        status: The answer's.
        content_type: The answer's.
        json: The answer's body, or None where none was kept.
    """

    frappe: str
    name: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    content_type: str
    json: Any


def frappe_sites() -> dict[str, dict[str, str]]:
    """Return the host and the db_name of the site of each version."""
    sites: dict[str, dict[str, str]] = _load("frappe-receiving.json")["sites"]
    return sites


def frappe_exchanges() -> list[Exchange]:
    """Return what was sent to real Frappe sites, and what they answered."""
    return [
        Exchange(
            frappe=version,
            name=case["name"],
            method=case["method"],
            path=case["path"],
            headers=case["headers"],
            body=body,
            status=answer["status"],
            content_type=answer["content_type"],
            json=answer.get("json"),
        )
        for case in _load("frappe-receiving.json")["cases"]
        for body in (_body(case),)  # one for all versions: some have 25 MB
        for answer in case["answers"]
        for version in answer["frappe"]
    ]


def _body(case: dict[str, Any]) -> bytes:
    if "body_parts" in case:
        return "".join(text * times for text, times in case["body_parts"]).encode()
    return b64decode(case["body_b64"])


def provider_vectors() -> list[Vector]:
    """Return the requests of vendors, of those without a scheme too."""
    return [
        Vector(
            id=case["id"],
            provider=case["provider"],
            secret=case["secret"],
            method=case.get("method", "POST"),
            url=case.get("url"),
            headers=tuple(case["headers"].items()),
            body=_body_of(case),
            now=case.get("timestamp", 0),
            expect="accept" if case["expected"] == "valid" else case["reason"].partition(" ")[0],
        )
        for case in (*_load("providers.json"), *_load("vendors.json"))
    ]


def _body_of(case: dict[str, Any]) -> bytes:
    if "form" in case:
        return urlencode(case["form"]).encode()
    return b64decode(case["body_b64"]) if "body_b64" in case else case["body"].encode()


def _load(name: str) -> Any:
    return json.loads((_HERE / name).read_text("utf-8"))
