"""Requests that Frappe sites sent and that vendors published, to be signed with any secret."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any, Final, TypeAlias

from frappe_hooksig._keys import redacted
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.providers import get
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets
from frappe_hooksig.testing._requests import SignedRequest, signed_request

_PACKAGE: Final = "frappe_hooksig.testing"
_LONGEST_NAME = 64  # characters that are compared with the names of events

_Pairs: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class RecordedEvent:
    """A request without its signature, which is made anew with your secret.

    Attributes:
        scheme: How the sender signs.
        name: Its name, such as `submitted`. A Frappe site of each version may have sent it.
        description: What is special about it.
        source: Where it comes from: a page, a vendor's library, or a capture of a Frappe site. Two
            were written for this package, and say so.
        version: The full version of the Frappe site, such as `15.40.3`; None for other senders.
        is_usual: Whether `frappe-hooksig trigger --list` shows it. The others are rare cases, such
            as retries and unusual headers.
        method: The HTTP method.
        headers: The (name, value) pairs that the sender set, without its signature.
        signature_at: How many of the headers stand before the signature.
        body: The raw body.
    """

    scheme: Scheme
    name: str
    description: str
    source: str
    version: str | None = None
    is_usual: bool = False
    method: str = "POST"
    headers: _Pairs = ()
    signature_at: int = 0
    body: bytes

    def signed(
        self,
        secret: Secrets,
        *,
        url: str | None = None,
        id: str | None = None,  # noqa: A002
        timestamp: float | datetime | None = None,
    ) -> SignedRequest:
        """Return the request, signed now and with your secret, else as the sender sent it.

        Args:
            secret: The secret of the route, or several during a rotation.
            url: The URL that is registered with the sender, if the scheme signs it.
            id: The delivery's id, if the scheme signs one. By default a new one.
            timestamp: The time of signing, if the scheme signs one: Unix seconds or an aware
                datetime. By default now.

        Raises:
            ConfigurationError: The secret cannot be used, or an argument does not fit the scheme.
        """
        several = redacted(secret)
        del secret  # error reporters show the local variables of every frame
        signed = signed_request(
            *(self.scheme, self.body, several),
            url=url,
            method=self.method,
            id=id,
            timestamp=timestamp,
        )
        before, after = self.headers[: self.signature_at], self.headers[self.signature_at :]
        headers = [*before, *signed.headers, *after]
        return SignedRequest(signed.body, headers, method=self.method, url=url)

    def __repr__(self) -> str:
        version = f" of {self.version}" if self.version else ""
        return f"<{type(self).__name__} {self.scheme.name} {self.name}{version}>"


def recorded_events(
    scheme: Scheme | None = None, *, version: int | None = None, event: str | None = None
) -> list[RecordedEvent]:
    """Return recorded events: all requests that were captured from Frappe sites, and vendors' own.

    For each sender, the usual ones come first; for each name, the newest version of Frappe does.

    >>> from frappe_hooksig.providers import FRAPPE
    >>> [submitted] = recorded_events(FRAPPE, event="submitted")
    >>> submitted.body[:54]
    b'{"name": "6odlm5n2kb", "title": "life", "status": "D",'
    >>> request = submitted.signed("S6D3Kvx1yMJ8Hv5Gm2QzTn4wRb7LpXce")
    >>> request.method  # client.post("/webhook", **request.for_flask)
    'POST'

    Args:
        scheme: The sender's scheme, such as `providers.GITHUB`. By default all.
        version: The major version of Frappe: 13, 14, 15 or 16. By default all.
        event: The name of the event. By default all.

    Raises:
        ConfigurationError: There is no such event. An empty list would let tests pass that are
            parametrised with it.
    """
    every = [each for each in map(_event, *_recorded()) if scheme is None or each.scheme == scheme]
    of_version = [
        each for each in every if version is None or (each.version or "").startswith(f"{version}.")
    ]
    found = [each for each in of_version if event is None or each.name == event]
    if found:
        return found
    if scheme is not None and not every:
        msg = (
            f"no events of {scheme.title or scheme.name} are recorded: send a body of your own "
            "with --body FILE, or sign it with signed_request()"
        )
    elif event is None or not of_version:
        msg = "no events of this version are recorded: there are those of Frappe 13, 14, 15 and 16"
    else:
        msg = f"no such event is recorded: {_hint(event, of_version)}"
    raise ConfigurationError(msg)


def _hint(name: str, events: list[RecordedEvent]) -> str:
    """Return which events there are instead."""
    from difflib import get_close_matches  # rarely needed

    names = dict.fromkeys(each.name for each in events)
    close = get_close_matches(name[:_LONGEST_NAME], names)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    usual = dict.fromkeys(each.name for each in events if each.is_usual)
    return f"there are {', '.join(usual)}"


def _recorded() -> tuple[list[Any], list[Any]]:
    """Return the recorded events, and for each the headers of the sender's HTTP client."""
    content = json.loads(files(_PACKAGE).joinpath("recorded_events.json").read_text("utf-8"))
    clients, events = content["clients"], content["events"]
    return events, [clients.get(event.get("version"), []) for event in events]


def _event(fields: dict[str, Any], client: list[list[str]]) -> RecordedEvent:
    headers = [*client, *fields.get("headers", [])]
    made: dict[str, Any] = {
        "scheme": get(fields["scheme"]),
        "headers": tuple((name, value) for name, value in headers),
        "signature_at": len(client) + fields.get("signature_at", 0),
        "body": fields["body"].encode("utf-8", "surrogateescape"),
    }
    return RecordedEvent(**fields | made)
