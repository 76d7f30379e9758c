"""`frappe-hooksig providers`."""

from __future__ import annotations

import json

import pytest

from frappe_hooksig import providers
from tests.cli.command import VERIFIED, says


def test_table() -> None:
    """Each has a line, beneath the names of the columns."""
    out, _ = says(VERIFIED, "providers")

    first, *lines = out.splitlines()
    assert first.split()[:2] == ["NAME", "SIGNED"]
    assert [line.split()[0] for line in lines] == list(providers.names())
    assert all(line == line.rstrip() for line in lines)


def test_many_headers() -> None:
    """Of a hundred headers there are two, and what stands between."""
    out, _ = says(VERIFIED, "providers")

    assert "  X-DocuSign-Signature-1 ... X-DocuSign-Signature-100\n" in out


def test_special_ones() -> None:
    """A bare hash is shown as one, and so are several formats of secrets."""
    out, _ = says(VERIFIED, "providers")
    lines = {line.split()[0]: line for line in out.splitlines()}

    assert "  hex (bare sha256)  " in lines["hubspot-v1"]
    assert "  text/whsec  " in lines["polar"]


@pytest.mark.parametrize(
    ("name", "repeats"),
    [
        ("svix", "  id  "),
        ("slack", "  body /event_id  "),
        ("github", "  content  "),
        ("shopify", "  content and event  "),
        ("zoom", "  -  "),
    ],
)
def test_repeats(name: str, repeats: str) -> None:
    """It says by what a repeat is recognised, or that it cannot be."""
    out, _ = says(VERIFIED, "providers")

    (line,) = (line for line in out.splitlines() if line.startswith(f"{name} "))
    assert repeats in line


def test_json() -> None:
    """Programs get each field."""
    out, _ = says(VERIFIED, "providers", "--json")

    described = {each["name"]: each for each in json.loads(out)}
    assert tuple(described) == providers.names()
    assert described["slack"] == {
        "name": "slack",
        "title": "Slack",
        "definition": providers.SLACK.definition,
        "headers": ["X-Slack-Signature", "X-Slack-Request-Timestamp"],
        "signed": "v0:{timestamp}:{body}",
        "prefix": "v0=",
        "encoding": "hex",
        "algorithm": "hmac",
        "digest": "sha256",
        "tolerance": 300,
        "secret_format": "text",
        "event_header": None,
        "dedup_by": "body-id",
        "body_id": "/event_id",
        "retry_horizon": 3600,
        "response_timeout": 3,
    }
