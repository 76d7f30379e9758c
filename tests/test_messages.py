"""The words for each mistake, as tests/vectors/messages.md shows them."""

from __future__ import annotations

import pytest

from frappe_hooksig import Reason
from tests import messages
from tests.messages import PAGE, SECRET, WHSEC


@pytest.fixture(scope="module")
def page() -> str:
    """The page as it is now."""
    return messages.page()


def test_page(page: str) -> None:
    """The page is what the library says: else run `python -m tests.messages`, and read it."""
    assert page == PAGE.read_text("utf-8")


def test_each_reason_is_there(page: str) -> None:
    """Each code has its section."""
    sections = {line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")}

    assert {*map(str, Reason)} <= sections


def test_nothing_secret_and_nothing_that_controls(page: str) -> None:
    """No secret, no MAC, no query, and no control character of a request."""
    never = [SECRET, WHSEC, messages.MAC.hex(), "never-shown", "\x1b", "\x07", "\r"]

    assert [each for each in never if each in page] == []
    assert page.isascii()


def test_responses_show_nothing_of_the_request_or_the_settings(page: str) -> None:
    """What the sender sees has no URL, whoever configured or sent it."""
    responses = [line for line in page.splitlines() if line.startswith(("- 4", "- 5", "- 2"))]

    assert len(responses) > 50
    assert [line for line in responses if "://" in line or "example.com" in line] == []
