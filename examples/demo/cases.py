"""The demo's requests: what real Frappe sites sent, and what becomes of it on a hostile way."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frappe_hooksig import sign_payload

SIGNATURE = "X-Frappe-Webhook-Signature"


@dataclass(frozen=True)
class Case:
    """One request, and the answer that is right.

    Attributes:
        title: What came in.
        method: HTTP method.
        headers: Its headers, those of the connection left out.
        body: Its body.
        status: The right HTTP status.
        why: The right reason, or `key` of the answer: which secret matched.
    """

    title: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int
    why: str


def load(name: str = "captures.json") -> dict[str, dict[str, Any]]:
    """Return the captured requests by their id."""
    captures = json.loads((Path(__file__).parent / name).read_text("utf-8"))["captures"]
    return {capture["id"]: capture for capture in captures}


def secrets() -> tuple[str, str]:
    """Return the current and the old secret: what was typed into the sites' Webhook forms."""
    captures = load()
    return captures["v16/form-full#1"]["secret"], captures["v16/sec-100#1"]["secret"]


def cases() -> list[Case]:
    """Return all requests, in the order in which they are sent."""
    captures = load()
    genuine = _genuine(captures["v16/form-full#1"], "", 200, "current")
    right = dict(genuine.headers)[SIGNATURE]

    def with_signatures(title: str, signatures: list[str], status: int, why: str) -> Case:
        others = tuple(pair for pair in genuine.headers if pair[0] != SIGNATURE)
        headers = (*others, *((SIGNATURE, each) for each in signatures))
        return replace(genuine, title=title, headers=headers, status=status, why=why)

    ours = sign_payload({"doctype": "Sales Order", "name": "SO-00001"}, secrets()[0])
    return [
        *(
            _genuine(captures[f"{version}/form-full#1"], "genuine, Frappe {}", 200, "current")
            for version in ("v13", "v14", "v15", "v16")
        ),
        replace(
            genuine,
            title="one byte of the body changed",
            body=genuine.body.replace(b"1", b"2", 1),
            status=401,
            why="signature-mismatch",
        ),
        with_signatures("no signature", [], 401, "missing-header"),
        with_signatures("hex instead of base64", [b64decode(right).hex()], 401, "wrong-encoding"),
        with_signatures("a signature that is not ASCII", ["é" + right], 400, "malformed-header"),
        with_signatures("the signature twice", [right, right], 400, "duplicate-header"),
        _genuine(captures["v16/sec-100#1"], "signed with the old secret", 200, "old"),
        _genuine(
            captures["v16/sec-64#1"], "signed with a retired secret", 401, "signature-mismatch"
        ),
        Case(
            "signed by sign_payload()",
            "POST",
            tuple(ours.headers.items()),
            ours.body,
            200,
            "current",
        ),
    ]


def _genuine(capture: dict[str, Any], title: str, status: int, why: str) -> Case:
    """Return a captured request as it was."""
    connection = {"Host", "Content-Length", "Connection"}
    return Case(
        title.format(capture["frappe_version"]),
        capture["method"],
        tuple((name, value) for name, value in capture["headers"] if name not in connection),
        b64decode(capture["body_b64"]),
        status,
        why,
    )
