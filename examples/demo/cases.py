"""The requests of the demo: captured from real Frappe sites, and tampered with on the way."""

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
    """A request and its expected response.

    Attributes:
        title: The kind of request.
        method: The HTTP method.
        headers: The headers, without those of the connection.
        body: The body.
        status: The expected HTTP status.
        why: The expected reason; or, if the request is accepted, the id of the secret that
            matched.
    """

    title: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int
    why: str


def load(name: str = "captures.json") -> dict[str, dict[str, Any]]:
    """Return the captured requests, by id."""
    captures = json.loads((Path(__file__).parent / name).read_text("utf-8"))["captures"]
    return {capture["id"]: capture for capture in captures}


def secrets() -> tuple[str, str]:
    """Return the current and the old secret, as typed into the Webhook forms of the sites."""
    captures = load()
    return captures["v16/form-full#1"]["secret"], captures["v16/sec-100#1"]["secret"]


def cases() -> list[Case]:
    """Return all requests, in the order of the table."""
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
    """Return a captured request unchanged, except for the headers of the connection."""
    connection = {"Host", "Content-Length", "Connection"}
    return Case(
        title.format(capture["frappe_version"]),
        capture["method"],
        tuple((name, value) for name, value in capture["headers"] if name not in connection),
        b64decode(capture["body_b64"]),
        status,
        why,
    )
