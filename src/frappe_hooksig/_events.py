"""The events that a verifier accepts, if only an unsigned header tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from frappe_hooksig._headers import Header, Headers, indexed, is_readable
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.scheme import Scheme

if TYPE_CHECKING:
    from frappe_hooksig.delivery import VerifiedRequest


class UnsignedEvents:
    """The listed events of a scheme with an `event_header`.

    Attributes:
        header: Name of the header that names a request's event.
        listed: The accepted events.
    """

    __slots__ = ("_header", "header", "listed")

    def __init__(self, header: str, listed: tuple[str, ...]) -> None:
        self.header = header
        self.listed = listed
        self._header = Header(header)

    def read(self, headers: Headers) -> str | None:
        """Return what the header says, or None if it is absent. It may be any text.

        Args:
            headers: The request's headers.

        Raises:
            VerificationError: The header occurs more than once.
        """
        text = self._header.find(indexed(headers))
        if text is not None and "," in text:  # a server joined two headers
            raise self._header.doubled()
        return text


def checked_events(scheme: Scheme, unsigned_events: Sequence[str] | None) -> UnsignedEvents | None:
    """Check and return the listed events; None if there is no list.

    Args:
        scheme: The sender's scheme.
        unsigned_events: As for `Verifier`.

    Raises:
        ConfigurationError: It is not a list of different names, or the scheme has no header for
            events.
    """
    if unsigned_events is None:
        return None
    if scheme.event_header is None:
        msg = (
            f"unsigned_events= has no use: scheme {scheme.name!r} has no event_header, because "
            "what it signs tells its events apart"
        )
        raise ConfigurationError(msg)
    if not isinstance(unsigned_events, list | tuple) or not unsigned_events:
        msg = (
            "unsigned_events= must be a list of the events that you handle, such as "
            f'["order.created", "order.updated"], not {_kind_of(unsigned_events)}'
        )
        raise ConfigurationError(msg)
    if not all(isinstance(each, str) and _is_event(each) for each in unsigned_events):
        msg = (
            f"unsigned_events= must have values of {scheme.event_header} as the sender writes "
            "them: printable ASCII without commas, and without spaces around it"
        )
        raise ConfigurationError(msg)
    if len(set(unsigned_events)) < len(unsigned_events):
        msg = "unsigned_events= lists an event twice"
        raise ConfigurationError(msg)
    return UnsignedEvents(scheme.event_header, tuple(map(str.__str__, unsigned_events)))


def require_events(scheme: Scheme, events: UnsignedEvents | None) -> None:
    """Refuse a store for a scheme whose events only an unsigned header tells apart, without a list.

    Raises:
        ConfigurationError: The scheme needs a list of events.
    """
    if scheme.event_header is not None and events is None:
        msg = (
            f"scheme {scheme.name!r} does not sign {scheme.event_header}, which alone tells its "
            "events apart, so store= could take one event for a repeat of another: list the "
            f"values of {scheme.event_header} that you handle, such as "
            'unsigned_events=["order.created", "order.updated"]'
        )
        raise ConfigurationError(msg)


def keep_event(request: VerifiedRequest, event: str | None) -> None:
    """Keep the listed event of a verified request, or None if its event is not listed."""
    request._unsigned_event = event  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _is_event(text: str) -> bool:
    return bool(text) and is_readable(text) and "," not in text and text == text.strip()


def _kind_of(value: object) -> str:
    is_empty = isinstance(value, list | tuple)
    return "an empty one" if is_empty else f"a {type(value).__name__}"
