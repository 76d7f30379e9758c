"""Numbers that are out of bounds are refused, with the name of the argument and the bounds."""

from __future__ import annotations

import math

import pytest

from frappe_hooksig import ConfigurationError
from frappe_hooksig.outbox._bounds import number, whole


@pytest.mark.parametrize("value", [0.5, 1, 7.25, 60, 60.0])
def test_number(value: float) -> None:
    """The bounds themselves are allowed."""
    assert number("timeout", value, 0.5, 60) == value


@pytest.mark.parametrize(
    "value",
    [0.49, 60.1, -1, math.nan, math.inf, -math.inf, 10**400, True, "7", None, 7j],
    ids=lambda value: repr(value)[:10],
)
def test_no_number(value: object) -> None:
    """What is just beyond them, no number, or a bool, is refused."""
    with pytest.raises(ConfigurationError, match=r"^timeout= must be a number from 0\.5 to 60$"):
        number("timeout", value, 0.5, 60)


@pytest.mark.parametrize("value", [1, 7, 1000])
def test_whole(value: int) -> None:
    """The bounds themselves are allowed."""
    assert whole("limit", value, 1, 1000) == value


@pytest.mark.parametrize(
    "value", [0, 1001, 7.0, math.nan, True, "7", None, b"7"], ids=lambda value: repr(value)[:10]
)
def test_not_whole(value: object) -> None:
    """What is just beyond them, a float, or a bool, is refused."""
    with pytest.raises(ConfigurationError, match=r"^limit= must be a whole number from 1 to 1000$"):
        whole("limit", value, 1, 1000)
