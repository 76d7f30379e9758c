"""Check the tolerance option, and read a delivery's timestamp from its body."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from inspect import iscoroutinefunction
from math import isfinite
from typing import TYPE_CHECKING, TypeAlias

from frappe_hooksig._timestamp import is_tolerance
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import ConfigurationError, Reason, VerificationError

if TYPE_CHECKING:
    from frappe_hooksig.scheme import Scheme

#: Reads a timestamp from a verified delivery: Unix seconds or an aware datetime.
TimestampFrom: TypeAlias = Callable[[Delivery], float | datetime | None]

# The default for a timestamp in the body, in seconds. The sender writes it before it queues the
# delivery, and repeats it in each attempt. Frappe's last retry is due 27 h 35 min after the first
# attempt. Each of its six retries waits up to 5 min for the scheduler, which makes 28 h 5 min. The
# rest is for a queue that stands still for a night.
_BODY_TOLERANCE = 36 * 60 * 60


def checked_tolerance(
    scheme: Scheme, given: float | None, timestamp_from: TimestampFrom | None
) -> float | None:
    """Return the tolerance to use, in seconds; None if there is no timestamp to check.

    Args:
        scheme: The sender's scheme.
        given: As for `Verifier`.
        timestamp_from: As for `Verifier`.

    Raises:
        ConfigurationError: The options contradict each other or the scheme.
    """
    if timestamp_from is not None:
        if scheme.signs_timestamp:
            msg = f"timestamp_from= has no use: scheme {scheme.name!r} signs a timestamp"
            raise ConfigurationError(msg)
        if not callable(timestamp_from) or iscoroutinefunction(timestamp_from):
            msg = (
                "timestamp_from= must be a function that takes the delivery and returns its "
                "timestamp, and not async"
            )
            raise ConfigurationError(msg)
        if not scheme.signs_body:
            msg = f"timestamp_from= has no use: scheme {scheme.name!r} does not sign the body"
            raise ConfigurationError(msg)
        default: float = _BODY_TOLERANCE
    elif scheme.signs_timestamp:
        default = scheme.tolerance
    elif given is None:
        return None
    else:
        msg = (
            f"tolerance has nothing to check: scheme {scheme.name!r} signs no timestamp. "
            "To check a timestamp in the body, pass timestamp_from="
        )
        raise ConfigurationError(msg)
    tolerance = default if given is None else given
    if not is_tolerance(tolerance):
        msg = "tolerance= must be a positive number of seconds, else old requests can be replayed"
        raise ConfigurationError(msg)
    return tolerance


def found_time(timestamp_from: TimestampFrom, delivery: Delivery, now: float) -> float:
    """Return the timestamp in a delivery's body, in Unix seconds.

    Args:
        timestamp_from: As for `Verifier`.
        delivery: The delivery, whose signature matches.
        now: The current time, in Unix seconds.

    Raises:
        VerificationError: The body has no usable timestamp.
    """
    times: list[float] = []
    try:
        times = _readings(timestamp_from(delivery))
    except ConfigurationError:  # also a ValueError, but not the sender's fault
        raise
    except (LookupError, TypeError, ValueError, OverflowError):
        pass  # the error may quote the body, so it must not become the cause of ours
    if not times:
        detail = "there, or timestamp_from= cannot read it"
        raise VerificationError(Reason.MALFORMED_TIMESTAMP, detail=detail)
    return min(times, key=lambda time: abs(now - time))


def _readings(found: object) -> list[float]:
    """Return the moments that a value can mean, in Unix seconds: none, one or two.

    When clocks go back at the end of summer time, a local datetime occurs twice. Frappe's format
    does not tell which of the two is meant (PEP 495).

    Raises:
        OverflowError: The value is an int that is too large for a float.
    """
    if isinstance(found, datetime):
        if found.utcoffset() is None:
            return []
        first, second = (found.replace(fold=fold).timestamp() for fold in (0, 1))
        return [first, second] if second > first else [first]
    if isinstance(found, int | float) and not isinstance(found, bool) and isfinite(found):
        return [float(found)]
    return []
