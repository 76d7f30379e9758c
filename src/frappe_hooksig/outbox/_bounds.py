"""Refuse numbers that are out of bounds."""

from __future__ import annotations

from frappe_hooksig.exceptions import ConfigurationError


def number(name: str, value: object, least: float, most: float) -> float:
    """Return a number.

    Raises:
        ConfigurationError: It is none, or is out of bounds.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
        return value
    msg = f"{name}= must be a number from {least:g} to {most:g}"
    raise ConfigurationError(msg)


def whole(name: str, value: object, least: int, most: int) -> int:
    """Return a whole number.

    Raises:
        ConfigurationError: It is none, or is out of bounds.
    """
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    msg = f"{name}= must be a whole number from {least} to {most}"
    raise ConfigurationError(msg)
