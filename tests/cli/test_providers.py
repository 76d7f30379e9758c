"""`frappe-hooksig providers`."""

from __future__ import annotations

import json

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
        "digest": "sha256",
        "tolerance": 300,
        "secret_format": "text",
    }
