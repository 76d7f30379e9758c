"""Where Frappe has what an app imports by name."""

from __future__ import annotations

from datetime import datetime


def now_datetime() -> datetime:
    """Return the time of the site, without a zone."""
    return datetime.now()  # noqa: DTZ005


def get_datetime(datetime_str: str | datetime) -> datetime:
    return datetime.fromisoformat(str(datetime_str))
