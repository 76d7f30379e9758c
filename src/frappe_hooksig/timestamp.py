"""Timestamps in headers: read strictly, written the one way they are read."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from datetime import time as clock_time
from math import floor, isfinite
from typing import Literal, TypeAlias

from frappe_hooksig.exceptions import ConfigurationError

#: How a time is written: 10 digits of Unix seconds, 13 of milliseconds, or RFC 3339.
TimestampFormat: TypeAlias = Literal["unix", "unix-ms", "rfc3339"]

#: The same, as error messages say it.
SPELLINGS: dict[TimestampFormat, str] = {
    "unix": "10 digits of Unix seconds",
    "unix-ms": "13 digits of Unix milliseconds",
    "rfc3339": "an RFC 3339 date and time with its offset",
}

# How many digits there are, and how many of its unit are a second.
_DIGITS = {"unix": (10, 1), "unix-ms": (13, 1000)}

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Compiled on first use, as few senders write it so.
RFC3339 = r"(?a)(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:Z|([+-])(\d\d):(\d\d))"


def read_time(text: str, spelling: TimestampFormat) -> float | None:
    """Return a time in Unix seconds, or None if it is not spelled exactly as it must be."""
    if spelling == "rfc3339":
        return _read_rfc3339(text)
    digits, unit = _DIGITS[spelling]
    # isdigit() alone is true for the digits of every script.
    if len(text) == digits and text.isdigit() and text.isascii():
        return int(text) / unit
    return None


def spell_time(seconds: float, spelling: TimestampFormat) -> str:
    """Return a time in Unix seconds as `read_time()` reads it.

    Raises:
        ConfigurationError: It has no such spelling: it is before September 2001 or after 2286.
    """
    try:
        if spelling == "rfc3339":
            moment = datetime.fromtimestamp(seconds, timezone.utc)
            text = moment.isoformat().replace("+00:00", "Z")
        else:
            text = str(floor(seconds) if spelling == "unix" else round(seconds * 1000))
    except (ValueError, OverflowError, OSError):  # not finite, or outside of the years 1 to 9999
        text = ""
    if read_time(text, spelling) is None:
        msg = f"this timestamp cannot be written as {SPELLINGS[spelling]}"
        raise ConfigurationError(msg)
    return text


def is_tolerance(value: object) -> bool:
    """Whether a value is a finite number of seconds above 0."""
    try:
        return isinstance(value, int | float) and isfinite(value) and value > 0
    except OverflowError:  # an int that no float can hold
        return False


def _read_rfc3339(text: str) -> float | None:
    match = re.fullmatch(RFC3339, text)
    if match is None:
        return None
    *date_and_time, fraction, sign, hours, minutes = match.groups()
    try:
        # datetime.time refuses what is no time of day; timedelta would take 99 minutes.
        away = clock_time(int(hours or 0), int(minutes or 0))
        offset = timedelta(hours=away.hour, minutes=away.minute)
        zone = timezone(-offset if sign == "-" else offset)
        moment = datetime(*map(int, date_and_time), tzinfo=zone)  # type: ignore[arg-type,misc]
    except ValueError:  # a thirteenth month, an offset of a day
        return None
    return (moment - _EPOCH).total_seconds() + float(fraction or 0)
