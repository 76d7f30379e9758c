"""`body_time()`: read a delivery's timestamp from a field of its signed body."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

from frappe_hooksig._timestamp import read_time
from frappe_hooksig._tolerance import TimestampFrom
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import ConfigurationError, Reason, VerificationError

__all__ = ["TimestampFrom", "body_time"]

# Frappe's format: str() of a naive datetime, which leaves out a fraction of 0.
_LOCAL = re.compile(r"(?a)(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?")

# Numbers from here on are milliseconds: 1973 in milliseconds, the year 5138 in seconds.
_LEAST_IN_MS = 10**11


def body_time(
    field: str = "modified", *, time_zone: str, unit: Literal["s", "ms"] = "s"
) -> Callable[[Delivery], float | datetime]:
    """Return a function for `timestamp_from=` that reads a field of a JSON body.

    The field is a date and time as Frappe writes it, `2026-11-22 09:35:43.019032`, in the site's
    time zone. It may also have an offset, or be a number of Unix seconds or milliseconds. A request
    with any other value is refused.

    >>> from frappe_hooksig import sign_payload, verify_payload
    >>> secret = "S6D3Kvx1yMJ8Hv5Gm2QzTn4wRb7LpXce"
    >>> signed = sign_payload({"modified": "2020-02-02 09:35:43"}, secret)
    >>> verify_payload(
    ...     signed.body, signed.headers, secret, timestamp_from=body_time(time_zone="Asia/Kolkata")
    ... )
    Traceback (most recent call last):
        ...
    frappe_hooksig.exceptions.TimestampOutOfTolerance: the timestamp in the body is ... s ago, ...

    Args:
        field: Name of the field. For a nested field, join the names with dots: `data.modified`.
        time_zone: The site's time zone, such as `Asia/Kolkata`. Copy it from *System Settings*.
        unit: The unit of a number: "s" for Unix seconds, "ms" for milliseconds.

    Returns:
        A function that returns a delivery's timestamp. It raises a `VerificationError` if the
        field is missing or has no valid timestamp.

    Raises:
        ConfigurationError: The time zone or the unit is unknown, or `field` is not the name of a
            field.
    """
    if not (isinstance(field, str) and all(field.split("."))):
        msg = f"field={field!r} is not a field's name, such as modified or data.modified"
        raise ConfigurationError(msg)
    if unit not in ("s", "ms"):
        msg = f'unit={unit!r} is not known: it must be "s" for seconds or "ms" for milliseconds'
        raise ConfigurationError(msg)
    names = field.split(".")
    zone = _zone(time_zone)

    def timestamp_from(delivery: Delivery) -> float | datetime:
        found = delivery.json()
        for name in names:
            if not (isinstance(found, dict) and name in found):
                raise VerificationError(
                    Reason.MALFORMED_TIMESTAMP, detail=f"there: the body has no field {field!r}"
                )
            found = cast("dict[str, Any]", found)[name]
        time = _read(found, zone)
        if isinstance(time, int | float):
            if unit == "ms":
                return time / 1000
            if time >= _LEAST_IN_MS:
                detail = (
                    f"in seconds: the field {field!r} seems to be in milliseconds, which "
                    'body_time(unit="ms") reads'
                )
                raise VerificationError(Reason.MALFORMED_TIMESTAMP, detail=detail)
        if time is None:
            detail = f"a date and time as Frappe writes it, in the field {field!r}"
            raise VerificationError(Reason.MALFORMED_TIMESTAMP, detail=detail)
        return time

    return timestamp_from


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    # ZoneInfo raises other errors for a name that starts with a slash, or names a folder.
    except (LookupError, OSError, TypeError, ValueError) as error:
        msg = (
            f"time_zone={name!r} is not known here: pass a name such as Asia/Kolkata and, on "
            "Windows and slim containers, install the package tzdata (pip install tzdata)"
        )
        raise ConfigurationError(msg) from error


def _read(found: object, zone: ZoneInfo) -> float | datetime | None:
    """Parse a field's value. Return None if it does not have exactly an accepted format."""
    if isinstance(found, int | float) and not isinstance(found, bool):
        return found
    if not isinstance(found, str):
        return None
    match = _LOCAL.fullmatch(found)
    if match is None:
        return read_time(found.replace(" ", "T", 1), "rfc3339")
    *date_and_time, fraction = match.groups("")
    microseconds = int(fraction[:6].ljust(6, "0"))
    try:
        moment = datetime(*map(int, date_and_time), tzinfo=zone)  # type: ignore[arg-type,misc]
    except ValueError:  # such as a thirteenth month
        return None
    return moment.replace(microsecond=microseconds)
