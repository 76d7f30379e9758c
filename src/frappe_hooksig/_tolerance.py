"""How far from now a delivery may have been made, and when it was made as its body says."""

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

#: Finds in a verified delivery when it was made: Unix seconds or an aware datetime.
TimestampFrom: TypeAlias = Callable[[Delivery], float | datetime | None]

# For a time in the body, in seconds: the sender writes it before its queues, not after.
_BODY_TOLERANCE = 24 * 60 * 60


def checked_tolerance(
    scheme: Scheme, given: float | None, timestamp_from: TimestampFrom | None
) -> float | None:
    """Return the tolerance to use, in seconds; None if there is no time to check.

    Args:
        scheme: How the sender lays out its signature.
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
                "timestamp_from= is a function of the delivery that returns its time, and not async"
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
            f"tolerance has nothing to check: scheme {scheme.name!r} signs no timestamp, "
            "and without timestamp_from= none is looked for in the body"
        )
        raise ConfigurationError(msg)
    tolerance = default if given is None else given
    if not is_tolerance(tolerance):
        msg = "tolerance is a positive number of seconds: without it, old requests can be replayed"
        raise ConfigurationError(msg)
    return tolerance


def found_time(timestamp_from: TimestampFrom, delivery: Delivery, now: float) -> float:
    """Return when a delivery was made, in Unix seconds, as its body says.

    Args:
        timestamp_from: As for `Verifier`.
        delivery: The delivery, whose signature is right.
        now: The current time, in Unix seconds.

    Raises:
        VerificationError: The body has no such time.
    """
    times: list[float] = []
    try:
        times = _readings(timestamp_from(delivery))
    except ConfigurationError:  # a ValueError, but not the sender's fault
        raise
    except (LookupError, TypeError, ValueError, OverflowError):
        pass  # the error may quote the body: it must not be the cause of another one
    if not times:
        detail = "there, or is not one that timestamp_from= can read"
        raise VerificationError(Reason.MALFORMED_TIMESTAMP, detail=detail)
    return min(times, key=lambda time: abs(now - time))


def _readings(found: object) -> list[float]:
    """Return what a time can mean, in Unix seconds: nothing, one moment, or either of two.

    When clocks are put back, as at the end of summer time, one local datetime is two moments, and
    nothing in what Frappe writes tells which was meant (PEP 495).

    Raises:
        OverflowError: It is an int that no float can hold.
    """
    if isinstance(found, datetime):
        if found.utcoffset() is None:
            return []
        first, second = (found.replace(fold=fold).timestamp() for fold in (0, 1))
        return [first, second] if second > first else [first]
    if isinstance(found, int | float) and not isinstance(found, bool) and isfinite(found):
        return [float(found)]
    return []
