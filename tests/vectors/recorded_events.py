"""Write the recorded events of the package: `python -m tests.vectors.recorded_events`."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import frappe_hooksig.testing
from frappe_hooksig import providers

PATH: Final = Path(frappe_hooksig.testing.__file__).with_name("recorded_events.json")

_HERE = Path(__file__).parent

# What a client writes by itself, so that it fits the bytes that it sends.
_FRAMING = {"host", "content-length", "transfer-encoding"}
# How many headers requests writes into each request of Frappe, before those of the webhook.
_CLIENT = 4

# The captures that the command lists, in its order: the names, and what is special. The first
# five are the life of one document.
_FRAPPE: Final = {
    "ev-on_change#1": ("saved", "on_change of a document that was saved"),
    "ev-on_change#5": ("submitted", "on_change of the same document, submitted"),
    "ev-on_change#6": ("updated", "on_change of the same document, updated after submission"),
    "ev-on_change#7": ("cancelled", "on_change of the same document, cancelled"),
    "ev-on_trash#1": ("deleted", "on_trash of the same document"),
    "form-full#1": ("document", "form with all fields of a document, and a child table"),
    "form-empty-values#1": ("empty-fields", "form with empty fields"),
    "odd-datetime#1": ("datetime", "form with date and time fields"),
    "struct-empty-nodata#1": ("empty", "webhook without any fields"),
    "json-tmpl2#1": ("template", "JSON template with a child table"),
    "json-rawunicode#1": ("unicode", "JSON template with keys and values beyond ASCII"),
    "json-numbers#1": ("numbers", "JSON template with all kinds of numbers"),
    "json-array#1": ("array", "JSON template of an array"),
    "ctl-chars#1": ("control-characters", "form with control characters"),
    "naive-data-str#1": ("script", "script on a site that sends frappe.as_json()"),
}
# The examples that vendors publish themselves, in their documentation or libraries.
_VENDORS: Final = {
    "adyen-header": "account-holder-created",
    "adyen-python-sdk": "merchant.created",
    "bitbucket-docs-0": "text",
    "box-primary": "file.uploaded",
    "circleci-docs-0": "text",
    "coinbase-commerce-sdk": "charge.created",
    "getstream-sdk": "message.new",
    "github-docs": "text",
    "github-octokit": "json",
    "github-octokit-escapes": "escapes",
    "github-octokit-escaped-backslash": "backslash",
    "gocardless-sdk": "subscriptions.created",
    "hubspot-v1-sdk": "contact.creation",
    "hubspot-v2-sdk": "json",
    "hubspot-v2-sdk-get": "get",
    "hubspot-v3-docs": "contact.creation",
    "inngest-sdk": "text",
    "jira-docs": "text",
    "line-docs": "no-events",
    "line-sdk": "text",
    "mux-elixir": "text",
    "notion-docs": "verification",
    "paddle-go-sdk": "price",
    "paddle-python-sdk-standard": "customer",
    "pagerduty": "incident.priority_updated",
    "razorpay-python-sdk": "payment.authorized",
    "recurly-sdk": "account.created",
    "sanity-toolkit": "json",
    "slack-docs": "slash-command",
    "square": "json",
    "square-sdk": "webhooks.test_notification",
    "standard-webhooks-libs": "json",
    "svix-docs": "ping",
    "svix-rust": "json",
    "workos-sdk": "connection.activated",
}
# Our own words, because these vendors publish no example that a handler can use.
_WRITTEN: Final = [
    {
        "scheme": "github",
        "name": "push",
        "description": "a commit on the branch main",
        "source": "https://docs.github.com/en/webhooks/webhook-events-and-payloads#push",
        "headers": [["Content-Type", "application/json"], ["X-GitHub-Event", "push"]],
        "body": {
            "ref": "refs/heads/main",
            "before": "1f0c6a7d2b94e83f5a6d07c9b8e1423f5d6a7b8c",
            "after": "9b3e5d7f10a2c4e6880b1d3f5a7c9e0b2d4f6a81",
            "repository": {"id": 70214, "name": "bakery", "full_name": "flour-and-salt/bakery"},
            "commits": [
                {
                    "id": "9b3e5d7f10a2c4e6880b1d3f5a7c9e0b2d4f6a81",
                    "message": "Bake the rye bread for longer",
                    "author": {"name": "Mira Tal", "email": "mira@example.com"},
                    "added": [],
                    "modified": ["recipes/rye.md"],
                    "removed": [],
                }
            ],
            "sender": {"id": 5081, "login": "mira-tal"},
        },
    },
    {
        "scheme": "stripe",
        "name": "invoice.paid",
        "description": "an invoice was paid",
        "source": "https://docs.stripe.com/api/events/object",
        "headers": [["Content-Type", "application/json; charset=utf-8"]],
        "body": {
            "id": "evt_1BakeryInvoicePaid001",
            "object": "event",
            "type": "invoice.paid",
            "created": 1700000000,
            "livemode": False,
            "data": {
                "object": {
                    "id": "in_1BakeryInvoice001",
                    "object": "invoice",
                    "customer": "cus_BakeryCustomer1",
                    "status": "paid",
                    "currency": "eur",
                    "amount_paid": 4900,
                }
            },
        },
    },
]


def written() -> str:
    """Return the file as it should be: JSON, with one event on each line."""
    clients = {version: headers for version, headers, _ in _captures()}
    # For each vendor, those that we wrote come first: they are more like what a handler gets.
    of_vendors = sorted([*_ours(), *_examples()], key=itemgetter("scheme"))
    events = [*(event for _, _, event in _captures()), *of_vendors]
    lines = ",\n".join(map(_compact, events))
    return f'{{"clients":{_compact(clients)},"events":[\n{lines}\n]}}\n'


def _captures() -> Iterator[tuple[str, list[list[str]], dict[str, Any]]]:
    """Return each request of a Frappe site, after its version and the headers of its HTTP client.

    Those with a name of their own are the first.
    """
    captures = _load("frappe-captures.json")["captures"]
    rank = {case: place for place, case in enumerate(_FRAPPE)}
    for case in sorted(captures, key=lambda case: rank.get(_short(case), len(rank))):
        name, description = _FRAPPE.get(_short(case), (_short(case), case["description"]))
        kept = [pair for pair in case["headers"] if pair[0].lower() not in _FRAMING]
        version = case["frappe_version"]
        event = {
            "scheme": "frappe",
            "name": name,
            "description": description,
            "version": version,
            "source": f"capture {case['id']}",
        }
        usual = {"is_usual": True} if _short(case) in _FRAPPE else {}
        body = b64decode(case["body_b64"])
        yield version, kept[:_CLIENT], event | usual | _request(case, kept[_CLIENT:], body)


def _examples() -> Iterator[dict[str, Any]]:
    """Return the examples of vendors."""
    cases = [*_load("providers.json"), *_load("vendors.json")]
    for case in cases:
        if case["id"] in _VENDORS:
            assert case["published"]
            event = {
                "scheme": case["provider"],
                "name": _VENDORS[case["id"]],
                "description": "example of the vendor",
                "source": case["source"],
                "is_usual": True,
            }
            yield event | _request(case, [*case["headers"].items()], case["body"].encode())


def _ours() -> Iterator[dict[str, Any]]:
    """Return the events that we wrote."""
    for event in _WRITTEN:
        source = f"written for this package, after the vendor's documentation: {event['source']}"
        yield event | {"source": source, "is_usual": True, "body": _compact(event["body"])}


def _request(
    case: dict[str, Any], headers: Sequence[tuple[str, str]], body: bytes
) -> dict[str, Any]:
    """Return a request, without what is made anew when it is signed, and without defaults."""
    signed = {name.lower() for name in providers.get(case.get("provider", "frappe")).header_names}
    is_signed = [name.lower() in signed for name, _ in headers]
    others = [pair for pair, is_one in zip(headers, is_signed, strict=True) if not is_one]
    place = is_signed.index(True) if True in is_signed else 0
    method = case.get("method", "POST")
    return {
        **({"method": method} if method != "POST" else {}),
        **({"headers": others} if others else {}),
        **({"signature_at": place} if place else {}),
        "body": body.decode("utf-8", "surrogateescape"),  # any bytes, and readable in most cases
    }


def _short(case: dict[str, Any]) -> str:
    return str(case["id"]).partition("/")[2]


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _load(name: str) -> Any:
    return json.loads((_HERE / name).read_text("utf-8"))


if __name__ == "__main__":
    PATH.write_text(written(), "utf-8")
