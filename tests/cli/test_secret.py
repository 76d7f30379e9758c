"""`frappe-hooksig secret`."""

from __future__ import annotations

import json

from frappe_hooksig import generate_secret
from tests.cli.command import VERIFIED, says


def test_makes_one() -> None:
    """Nothing but the secret and a line end, so that it can go into a file."""
    first, _ = says(VERIFIED, "secret")
    other, _ = says(VERIFIED, "secret", "--json")

    assert len(first.rstrip("\n")) == len(generate_secret()) == len(json.loads(other)["secret"])
    assert first.count("\n") == 1
    assert first.rstrip("\n") != json.loads(other)["secret"]


def test_format_of_the_scheme() -> None:
    """It is written as the scheme has it."""
    out, _ = says(VERIFIED, "secret", "--scheme", "standard-webhooks")

    assert out.startswith("whsec_")
