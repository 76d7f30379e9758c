"""Frappe's own sender of webhooks: how it renders and signs one, and when it sends it again."""

from __future__ import annotations

import hmac
import json
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

import jinja2

from tests.loopback import ROOT

#: The pauses between the attempts of a job, in seconds: all that there is up to Frappe 16.4.
QUICK: Final = (1, 4)

#: What a scheduler does after 16.4 (frappe/frappe#38913): when it is due, and how often it looks.
LATER: Final = (5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600)
SCHEDULER_EVERY: Final = 5 * 60

#: A document as the template sees it; the name and the text need care in JSON.
ORDER: Final[dict[str, Any]] = {
    "doctype": "Sales Order",
    "name": 'SO-"00001"',
    "modified": "2026-11-22 09:35:43.019032",
    "customer": "Zoë & <Sons>",
    "currency": "EUR",
    "items": [{"item_code": "A", "amount": 10.5}, {"item_code": "B", "amount": 4.5}],
    "workflow_state": "Approved",
}


@dataclass(frozen=True)
class Request:
    """A request, the same to the last byte in each attempt."""

    body: bytes
    headers: dict[str, str]


def template_of_docs(name: str = "TEMPLATE") -> str:
    """Return a template for *JSON Request Body* that docs/from-frappe.md has."""
    text = (ROOT / "docs" / "from-frappe.md").read_text("utf-8")
    (found,) = re.findall(rf'^{name} = """(.*?)"""$', text, re.MULTILINE | re.DOTALL)
    return str(found)


def template_of_docstring(file: Path) -> str:
    """Return the template that an example asks for."""
    (found,) = re.findall(
        r"JSON Request Body:\n\n(    \{\n.*?\n    \}\n)", file.read_text("utf-8"), re.DOTALL
    )
    return dedent(found)


def rendered(template: str, doc: dict[str, Any], secret: str) -> Request:
    """Render a template twice, as Frappe does: for the signature, and for the body."""
    environment = jinja2.Environment()
    environment.filters["json"] = lambda value: json.dumps(value, indent=1, sort_keys=True)
    signed, body = (
        json.dumps(json.loads(environment.from_string(template).render(doc=doc))).encode()
        for _ in range(2)
    )
    mac = hmac.digest(secret.encode(), signed, "sha256")
    return Request(body, {"X-Frappe-Webhook-Signature": b64encode(mac).decode()})


def deliver(
    send: Callable[[], int], let_pass: Callable[[float], object], *, retries_later: bool
) -> list[int]:
    """Send until a status is below 400, as Frappe does; return all of the statuses.

    Args:
        send: Makes an attempt, and returns its status.
        let_pass: Called with the seconds until the next attempt. The scheduler is always as late
            as it can be.
        retries_later: Whether it is the Frappe after 16.4.
    """
    pauses = [*QUICK, *(pause + SCHEDULER_EVERY for pause in LATER if retries_later)]
    statuses = [send()]
    while statuses[-1] >= 400 and pauses:
        let_pass(pauses.pop(0))
        statuses.append(send())
    return statuses


def apply_workflow(
    doc: dict[str, Any], state: str, send: Callable[[dict[str, Any]], list[int]], now: str
) -> bool:
    """Move a document to another state, as 16.4.1 does with a Webhook for `workflow_transition`.

    Args:
        doc: The document.
        state: The state.
        send: Sends the Webhook about a document while the user waits; returns the statuses.
        now: When it is done, as Frappe writes it.

    Returns:
        Whether the document has changed; else the user has seen HTTP 500.
    """
    moved = doc | {"workflow_state": state}  # sent before it is saved: `modified` is the old one
    if send(moved)[-1] >= 400:
        return False
    doc |= moved | {"modified": now}
    return True
