"""The senders of a process: one for each endpoint, with the secrets that are valid now."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Final

from frappe_hooksig.exceptions import ConfigurationError, PayloadError
from frappe_hooksig.outbox._claims import Claimed
from frappe_hooksig.outbox._endpoints import Row
from frappe_hooksig.outbox._formats import FormatFailed, Formats, OutgoingMessage
from frappe_hooksig.outbox._secrets import Unavailable, Vault, end_of, not_ended
from frappe_hooksig.outbox._settling import Fault
from frappe_hooksig.providers import get
from frappe_hooksig.secret import Secret
from frappe_hooksig.sending._attempt import Attempt, shown
from frappe_hooksig.sending._sender import Sender

_log = logging.getLogger("frappe_hooksig")

# How long a secret is used before it is read again, in seconds.
_FRESH: Final = 1.0
# How many senders a process keeps, with their connections.
_MOST: Final = 1000


@dataclass(slots=True)
class _Kept:
    sender: Sender
    revision: int
    values: list[str]
    read_at: float

    def __repr__(self) -> str:
        return "<kept sender>"


class Senders:
    """Makes the sender of an endpoint, and keeps it for as long as nothing changes.

    Args:
        vault: Reads secrets and headers.
        make: Makes a `Sender`, with the guard and the other options of the outbox.
        formats: Turns messages into what is sent.
        clock: The clock of these senders, in Unix seconds.
    """

    def __init__(
        self,
        vault: Vault,
        make: Callable[..., Sender],
        formats: Formats,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._vault = vault
        self._make = make
        self._formats = formats
        self._clock = clock
        self._kept: OrderedDict[tuple[str, bool], _Kept] = OrderedDict()
        self._lock = Lock()

    def attempt(self, row: Row, claimed: Claimed) -> Attempt | Fault:
        """Send a delivery, and say what became of it. It raises nothing."""
        started = time.monotonic()
        try:
            return self.send(row, _outgoing(claimed))
        except Unavailable as error:
            message = shown(str(error))
            if error.reason == "secret-unreadable":
                return _failed(claimed, error.reason, message, started)
            return Fault(error.reason, message, is_of_endpoint=True)
        except PayloadError as error:
            return Fault("bad-payload", shown(str(error)), is_of_endpoint=False)
        except ConfigurationError as error:
            return Fault("misconfigured", shown(str(error)), is_of_endpoint=True)
        except BaseException as error:  # noqa: BLE001  # the thread must go on
            # Without a traceback: its frames have the payload and the secrets.
            reason = "internal-error"
            message = f"sending failed by an error of this process: {type(error).__name__}"
            if isinstance(error, FormatFailed):
                reason, message = "format-failed", shown(str(error))
            with suppress(Exception):  # a filter or a handler of the app's log has failed
                _log.error("outbox: %s", message)
            return _failed(claimed, reason, message, started)

    def send(self, row: Row, message: OutgoingMessage) -> Attempt:
        """Send a message to an endpoint, in its format.

        Raises:
            Unavailable: A secret or a header cannot be had.
            ConfigurationError: The scheme does not take the secret or a header, or there is no such
                format.
            PayloadError: The payload does not fit the format or the scheme.
            FormatFailed: The format has failed.
        """
        content = self._formats.apply(row.endpoint.format, message)
        # Those of an endpoint are for it alone, so they replace those of a format for many.
        own = {name.lower() for name in row.headers}
        headers = {
            name: value for name, value in content.headers.items() if str(name).lower() not in own
        }
        sender = self.of(row, is_json=content.is_json)
        return sender.send(row.endpoint.url, content.body, id=message.id, headers=headers or None)

    def of(self, row: Row, *, is_json: bool) -> Sender:
        """Return the sender of an endpoint.

        Args:
            row: The endpoint.
            is_json: Whether it is for payloads that are JSON.

        Raises:
            Unavailable: A secret or a header cannot be had.
            ConfigurationError: The scheme does not take the secret or a header.
        """
        key = (row.endpoint.id, is_json)
        now = time.monotonic()
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
        if kept is not None and kept.revision == row.revision and now - kept.read_at < _FRESH:
            return kept.sender
        endpoint = row.endpoint.id
        secrets = not_ended(row.secrets, self._clock() * 1000)
        references = [*secrets, *row.headers.values()]
        values = [self._vault.read(endpoint, each) for each in references]
        if kept is not None and kept.revision == row.revision and kept.values == values:
            kept.read_at = now
            return kept.sender
        try:
            sender = self._made(row, secrets, values, is_json=is_json)
        except ConfigurationError:
            del values  # error reporters show the local variables of every frame
            raise
        with self._lock:
            self._kept[key] = _Kept(sender, row.revision, values, now)
            dropped = self._kept.popitem(last=False)[1] if len(self._kept) > _MOST else None
        for old in (kept, dropped):
            if old is not None:
                old.sender.close()
        return sender

    def _made(self, row: Row, secrets: list[str], values: list[str], *, is_json: bool) -> Sender:
        count = len(secrets)
        headers = dict(zip(row.headers, values[count:], strict=True))
        if is_json and "content-type" not in map(str.lower, headers):
            headers["Content-Type"] = "application/json"
        problem = ""
        try:
            return self._make(
                [*map(_secret_of, secrets, values[:count])],
                scheme=get(row.endpoint.scheme),
                method=row.endpoint.method,
                headers=headers,
            )
        except ConfigurationError as error:
            problem = str(error)
        del values, headers  # error reporters show the local variables of every frame
        raise ConfigurationError(problem)

    def close(self) -> None:
        """Close all connections that are kept."""
        with self._lock:
            kept = [*self._kept.values()]
            self._kept.clear()
        for each in kept:
            each.sender.close()


def _secret_of(reference: str, value: str) -> Secret:
    end = end_of(reference)
    content = value.encode("utf-8", "surrogateescape")
    del value  # error reporters show the local variables of every frame
    return Secret(content, not_after=None if end is None else end / 1000)


def _outgoing(claimed: Claimed) -> OutgoingMessage:
    return OutgoingMessage(
        id=claimed.sent_as,
        event_type=claimed.event_type,
        tenant=claimed.tenant,
        key=claimed.message_key,
        payload=claimed.payload,
        is_json=claimed.is_json,
        created_at=claimed.published_at / 1000,
        attempt=claimed.attempts + 1,
    )


def _failed(claimed: Claimed, reason: str, message: str, started: float) -> Attempt:
    """Return an attempt that has failed before anything was sent."""
    return Attempt(
        outcome="unreachable",
        id=claimed.sent_as,
        reason=reason,
        message=message,
        seconds=time.monotonic() - started,
    )
