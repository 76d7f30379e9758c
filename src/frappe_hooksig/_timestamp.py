"""Parse timestamps strictly, and write them in exactly the form that is parsed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone
from datetime import time as clock_time
from functools import lru_cache
from math import floor, isfinite
from typing import Literal, TypeAlias

from frappe_hooksig.exceptions import ConfigurationError

#: How a timestamp is written: 10 digits of Unix seconds, 13 of milliseconds, or RFC 3339.
TimestampFormat: TypeAlias = Literal["unix", "unix-ms", "rfc3339"]

#: Descriptions of the formats, for error messages.
SPELLINGS: dict[TimestampFormat, str] = {
    "unix": "10 digits of Unix seconds",
    "unix-ms": "13 digits of Unix milliseconds",
    "rfc3339": "an RFC 3339 date and time with its offset",
}

# Numbers of digits.
_SECONDS = 10
_MILLISECONDS = 13

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # compared with naive datetimes
_RFC3339 = r"(?a)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(?:Z|([+-])(\d\d):(\d\d))"
# Matches ids that contain an RFC 3339 timestamp, or one that lacks two digits at its start or end.
# A timestamp beside the id could supply those digits (`+08:` and `2026-...`).
NEARLY_RFC3339 = r"(?a)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d"
_DAY = 86_400  # seconds
_TO_SECONDS = len("2026-11-22T08:00:00")


def read_time(text: str, spelling: TimestampFormat) -> float | None:
    """Parse a timestamp into Unix seconds. Return None if it does not have exactly this form."""
    return TIME_READERS[spelling](text)


def spell_time(seconds: float, spelling: TimestampFormat) -> str:
    """Write a time in Unix seconds in the form that `read_time()` parses.

    Raises:
        ConfigurationError: The format cannot express the time. For digits, it must lie between
            September 2001 and 2286.
    """
    try:
        if spelling == "rfc3339":
            moment = datetime.fromtimestamp(seconds, timezone.utc)
            text = moment.isoformat().replace("+00:00", "Z")
        else:
            text = str(floor(seconds) if spelling == "unix" else round(seconds * 1000))
    except (ValueError, OverflowError, OSError):  # not finite, or outside the years 1 to 9999
        text = ""
    if read_time(text, spelling) is None:
        msg = f"this timestamp cannot be written as {SPELLINGS[spelling]}"
        raise ConfigurationError(msg)
    return text


def is_tolerance(value: object) -> bool:
    """Whether a value is a finite number of seconds above 0."""
    try:
        return isinstance(value, int | float) and isfinite(value) and value > 0
    except OverflowError:  # an int that is too large for a float
        return False


def _read_unix(text: str) -> float | None:
    # isdigit() alone also accepts the digits of other scripts.
    is_time = len(text) == _SECONDS and text.isascii() and text.isdigit()
    return float(text) if is_time else None


def _read_unix_ms(text: str) -> float | None:
    is_time = len(text) == _MILLISECONDS and text.isascii() and text.isdigit()
    return int(text) / 1000 if is_time else None


def _read_rfc3339(text: str) -> float | None:
    match = _rfc3339().fullmatch(text)
    if match is None:
        return None
    fraction, sign, hours, minutes = match.groups()
    try:
        # Parse without the offset. It is faster, and the offset may lead out of the years 1 to
        # 9999.
        moment = datetime.fromisoformat(text[:_TO_SECONDS])
        # datetime.time refuses offsets that are not a time of day, such as 99 minutes.
        away = sign and clock_time(int(hours), int(minutes))
    except ValueError:  # such as a thirteenth month, or an offset of a day
        return None
    since = moment - _EPOCH
    seconds = since.days * _DAY + since.seconds + float(fraction or 0)
    if away:
        offset = away.hour * 3600 + away.minute * 60
        seconds += offset if sign == "-" else -offset
    return seconds


#: `read_time()` for each format.
TIME_READERS: dict[TimestampFormat, Callable[[str], float | None]] = {
    "unix": _read_unix,
    "unix-ms": _read_unix_ms,
    "rfc3339": _read_rfc3339,
}


@lru_cache(maxsize=1)
def _rfc3339() -> re.Pattern[str]:
    # Compiled on first use, because few senders use RFC 3339.
    return re.compile(_RFC3339)
