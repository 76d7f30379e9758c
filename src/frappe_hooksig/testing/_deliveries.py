"""Make a verified delivery without a request."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from frappe_hooksig._keys import new_secret
from frappe_hooksig._overriding import current_clock
from frappe_hooksig._payload import Payload
from frappe_hooksig._tolerance import TimestampFrom, found_time
from frappe_hooksig._wire import wire_of
from frappe_hooksig.delivery import Delivery
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.providers import FRAPPE
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.testing._requests import signed_request
from frappe_hooksig.verify import Verifier

# The URL of a scheme that signs one, unless the test says which.
_URL = "https://example.com/webhook"


def delivery(
    payload: Payload,
    *,
    scheme: Scheme = FRAPPE,
    id: str | None = None,  # noqa: A002
    timestamp: float | datetime | None = None,
    secret_id: str | None = None,
    event: str | None = None,
    method: str = "POST",
    url: str | None = None,
    timestamp_from: TimestampFrom | None = None,
) -> Delivery:
    """Return a delivery, for a handler that a test calls itself.

    It was signed with a new secret and verified, like that of a request. In FastAPI, it takes the
    place of the dependency: `app.dependency_overrides[webhook] = lambda: delivery({...})`.

    In Flask, Django, Starlette and Frappe, a view gets its delivery from its request. Send it a
    `signed_request()` with the test client, and `override()` its secret if the app has another one.

    >>> delivery({"name": "SO-00001"}).json()
    {'name': 'SO-00001'}

    Args:
        payload: bytes as they are, str as UTF-8; a dict, list, number, bool or None as JSON.
        scheme: How the sender signs its webhooks.
        id: The delivery's id, if the scheme signs one. By default a new one.
        timestamp: The time of signing, if the scheme signs one: Unix seconds or an aware datetime.
            By default now. It may be long ago.
        secret_id: The value of `Delivery.secret_id`.
        event: The value of `Delivery.unsigned_event`, if only an unsigned header names the event.
        method: The HTTP method.
        url: The URL that is registered with the sender, if the scheme signs it. By default a made
            up one.
        timestamp_from: A function that reads the timestamp from the delivery, as for `Verifier`.

    Raises:
        PayloadError: The payload cannot be turned into bytes.
        ConfigurationError: An argument is invalid or does not fit the scheme.
        VerificationError: `timestamp_from` finds no timestamp.
    """
    header = wire_of(scheme).scheme.event_header
    if event is not None and header is None:
        msg = f"event= has no use: scheme {scheme.name!r} has no event_header"
        raise ConfigurationError(msg)
    if url is None and scheme.signs_url:
        url = _URL
    secret = new_secret(scheme, secret_id)
    headers = {} if event is None or header is None else {header: event}
    request = signed_request(
        scheme, payload, secret, id=id, timestamp=timestamp, method=method, url=url, headers=headers
    )
    verifier = partial(
        Verifier, secret, scheme=scheme, unsigned_events=[*headers.values()] or None, url=url
    )
    verify = partial(Verifier.verify, body=request.body, headers=request.headers, method=method)
    signed_at = timestamp.timestamp() if isinstance(timestamp, datetime) else timestamp
    now = current_clock()() if signed_at is None else signed_at
    of_then = verifier(timestamp_from=timestamp_from, clock=lambda: now)
    if timestamp_from is not None:
        now = found_time(timestamp_from, verify(verifier()), now)
    return verify(of_then)
