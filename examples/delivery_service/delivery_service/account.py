"""All that one tenant can see and do. No call here reaches another tenant's rows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from delivery_service.formats import SCHEMES, FormatName
from delivery_service.moves import refuse_moved
from delivery_service.problems import Problem
from delivery_service.settings import Settings
from delivery_service.tables import EndpointDescription
from frappe_hooksig import generate_secret, providers
from frappe_hooksig.outbox import (
    AttemptRecord,
    DeliveryRecord,
    Endpoint,
    EndpointNumbers,
    Message,
    Outbox,
)

Sessions = sessionmaker[Session]

#: How many messages one request may publish.
MOST_AT_ONCE: Final = 100
#: How many deliveries one request may send once more.
MOST_AGAIN: Final = 500
#: How many event types, and how many further headers, an endpoint may have.
MOST_TYPES: Final = 50
MOST_HEADERS: Final = 20
TEST_EVENT: Final = "test"


@dataclass(frozen=True, kw_only=True)
class NewMessage:
    """A message to publish.

    Attributes:
        event_type: What has happened.
        payload: A value of JSON.
        key: Messages with the same key arrive in their order, at endpoints that ask for that.
        idempotency_key: A message with the same one is published once.
    """

    event_type: str
    payload: Any
    key: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Described:
    """An endpoint with what its tenant wrote beside it."""

    endpoint: Endpoint
    description: str

    @property
    def format(self) -> FormatName:
        """What its requests look like."""
        return "x-webhook" if self.endpoint.format == "x-webhook" else "standard"


class Account:
    """What one tenant can see and do.

    Args:
        tenant_id: The tenant. Each call to the outbox is limited to it.
        outbox: The outbox.
        sessions: Makes sessions of the service's own tables.
        settings: The limits.
    """

    def __init__(
        self, tenant_id: str, outbox: Outbox, sessions: Sessions, settings: Settings
    ) -> None:
        self.tenant_id = tenant_id
        self._outbox = outbox
        self._sessions = sessions
        self._settings = settings

    # Endpoints

    def add_endpoint(
        self,
        url: str,
        *,
        description: str = "",
        format: FormatName = "standard",  # noqa: A002  # the API's word
        secret: str | None = None,
        **options: Any,
    ) -> tuple[Described, str]:
        """Add an endpoint, and return it with its secret, which cannot be had again.

        Args:
            url: The receiver's URL. Whether its address is allowed shows when something is sent.
            description: For people.
            format: What its requests look like.
            secret: A secret that the receiver has already; by default a new one.
            options: As for `Outbox.add_endpoint()`: `event_types`, `headers`, `order`,
                `concurrency` and `rate`.
        """
        self._check_room(1)
        scheme = SCHEMES[format]
        own = secret if secret is not None else generate_secret(scheme.secret_format)
        endpoint = self._outbox.add_endpoint(
            url, secret=own, tenant=self.tenant_id, scheme=scheme, format=format, **options
        )
        try:
            self._check_room(0)  # others may have been added at the same time
        except Problem:
            self._outbox.delete_endpoint(endpoint.id, tenant=self.tenant_id)
            raise
        self._describe(endpoint.id, description)
        return Described(endpoint=endpoint, description=description), own

    def change_endpoint(
        self, endpoint_id: str, *, description: str | None = None, **options: Any
    ) -> Described:
        """Change an endpoint. What is not given stays as it is."""
        if "url" in options and "headers" not in options:
            before = self._outbox.endpoint(endpoint_id, tenant=self.tenant_id)
            if before.header_names:
                detail = (
                    "the endpoint has headers that the new URL would get: give headers, too, which "
                    "may be empty"
                )
                raise Problem(409, "headers-needed", detail)
        with self._kept():
            endpoint = self._outbox.change_endpoint(endpoint_id, tenant=self.tenant_id, **options)
        if description is not None:
            self._describe(endpoint_id, description)
        return self._described([endpoint])[0]

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Delete an endpoint. What is on its way to it is cancelled."""
        self._outbox.delete_endpoint(endpoint_id, tenant=self.tenant_id)
        with self._sessions.begin() as session:
            session.execute(
                delete(EndpointDescription).where(EndpointDescription.endpoint_id == endpoint_id)
            )

    def endpoint(self, endpoint_id: str) -> Described:
        """Return an endpoint."""
        return self._described([self._outbox.endpoint(endpoint_id, tenant=self.tenant_id)])[0]

    def endpoints(self, *, after: str | None = None, limit: int) -> list[Described]:
        """Return endpoints, in the order in which they were added."""
        found = self._outbox.endpoints(tenant=self.tenant_id, after=after, limit=limit)
        return self._described(found)

    def numbers(self, endpoint_id: str | None = None) -> dict[str, EndpointNumbers]:
        """Return how each endpoint, or one of them, did in the last hour."""
        numbers = self._outbox.numbers(tenant=self.tenant_id, endpoint=endpoint_id)
        return {each.endpoint_id: self._outbox.for_tenant(each) for each in numbers.endpoints}

    def rotate_secret(self, endpoint_id: str, *, overlap: float) -> str:
        """Give an endpoint a new secret, and return it. The old one signs for a while, too."""
        endpoint = self._outbox.endpoint(endpoint_id, tenant=self.tenant_id)
        secret = generate_secret(providers.get(endpoint.scheme).secret_format)
        with self._kept():
            self._outbox.rotate_secret(endpoint_id, secret, overlap=overlap, tenant=self.tenant_id)
        return secret

    def pause(self, endpoint_id: str, message: str = "") -> None:
        """Send an endpoint nothing for now. What is published for it collects."""
        with self._kept():
            self._outbox.pause(endpoint_id, message, tenant=self.tenant_id)

    def resume(self, endpoint_id: str) -> None:
        """Send to an endpoint again."""
        with self._kept():
            self._outbox.resume(endpoint_id, tenant=self.tenant_id)

    def send_test(self, endpoint_id: str) -> DeliveryRecord:
        """Send a test to an endpoint, through the queue like any other message."""
        payload = {"test": True, "sent_at": int(time.time())}
        with self._kept():
            delivery_id = self._outbox.send_test(
                endpoint_id, event_type=TEST_EVENT, payload=payload, tenant=self.tenant_id
            )
        return self.delivery(delivery_id)

    @contextmanager
    def _kept(self) -> Generator[None]:
        """Refuse what the outbox has committed on its own, if the database was moved before it.

        Sessions of the service do so when they commit.
        """
        yield
        with self._sessions() as session:
            refuse_moved(session)

    def _check_room(self, more: int) -> None:
        most = self._settings.max_endpoints
        if len(self._outbox.endpoints(tenant=self.tenant_id)) + more > most:
            raise Problem(409, "too-many-endpoints", f"a tenant has at most {most} endpoints")

    def _describe(self, endpoint_id: str, description: str) -> None:
        key = {"endpoint_id": endpoint_id, "tenant_id": self.tenant_id}
        change = update(EndpointDescription).filter_by(**key).values(description=description)
        with self._sessions.begin() as session:
            result: Any = session.execute(change)
        if result.rowcount:
            return
        # It is new, or another request is deleting it: then this says that it is not there.
        self._outbox.endpoint(endpoint_id, tenant=self.tenant_id)
        with suppress(IntegrityError), self._sessions.begin() as session:  # another one was first
            session.add(EndpointDescription(**key, description=description))

    def _described(self, endpoints: Sequence[Endpoint]) -> list[Described]:
        query = select(EndpointDescription).where(
            EndpointDescription.endpoint_id.in_([each.id for each in endpoints]),
            EndpointDescription.tenant_id == self.tenant_id,
        )
        with self._sessions() as session:
            texts = {each.endpoint_id: each.description for each in session.scalars(query)}
        return [
            Described(endpoint=self._outbox.for_tenant(each), description=texts.get(each.id, ""))
            for each in endpoints
        ]

    # Messages

    def publish(self, messages: Sequence[NewMessage]) -> list[str]:
        """Publish messages, all or none, and return their ids."""
        bodies = [self._serialised(each.payload) for each in messages]
        with self._sessions.begin() as session:
            return [
                self._outbox.publish(
                    session,
                    each.event_type,
                    body,
                    key=each.key,
                    idempotency_key=each.idempotency_key,
                    tenant=self.tenant_id,
                )
                for each, body in zip(messages, bodies, strict=True)
            ]

    def _serialised(self, payload: Any) -> bytes:
        # The outbox takes a str as it is, which a JSON text is not.
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        most = self._settings.max_payload
        if len(body) > most:
            detail = f"a payload has {len(body)} bytes, and up to {most} are taken"
            raise Problem(413, "payload-too-large", detail)
        return body

    def message(self, message_id: str) -> Message:
        """Return a message."""
        return self._outbox.message(message_id, tenant=self.tenant_id)

    def payload(self, message_id: str) -> bytes:
        """Return the payload of a message."""
        return self._outbox.payload(message_id, tenant=self.tenant_id)

    def messages(self, **filters: Any) -> list[Message]:
        """Return messages, the newest first. The filters are those of `Outbox.messages()`."""
        return self._outbox.messages(tenant=self.tenant_id, **filters)

    # Deliveries

    def deliveries(self, **filters: Any) -> list[DeliveryRecord]:
        """Return deliveries, the newest first. The filters are those of `Outbox.deliveries()`."""
        found = self._outbox.deliveries(tenant=self.tenant_id, **filters)
        return [self._outbox.for_tenant(each) for each in found]

    def delivery(self, delivery_id: int) -> DeliveryRecord:
        """Return a delivery."""
        found = self._outbox.delivery(delivery_id, tenant=self.tenant_id)
        return self._outbox.for_tenant(found)

    def attempts(self, delivery_id: int) -> list[AttemptRecord]:
        """Return the attempts of a delivery, the first one first."""
        found = self._outbox.attempts(delivery_id, tenant=self.tenant_id)
        return [self._outbox.for_tenant(each) for each in found]

    def send_one(self, delivery_id: int, *, as_new: bool) -> int:
        """Send a delivery that has ended once more: with the same id, or as a new message."""
        self._outbox.delivery(delivery_id, tenant=self.tenant_id)
        with self._kept():
            count = self._send(as_new=as_new)(tenant=self.tenant_id, delivery=delivery_id)
        if not count:
            detail = "the delivery has not ended, so it is sent anyway, or its endpoint is deleted"
            raise Problem(409, "not-sendable", detail)
        return count

    def send_several(
        self,
        endpoint_id: str,
        *,
        as_new: bool,
        states: Sequence[str],
        since: float | None = None,
        until: float | None = None,
    ) -> int:
        """Send deliveries of an endpoint that have ended once more.

        Args:
            endpoint_id: The endpoint.
            as_new: Whether each gets a new id.
            states: Which of them.
            since: Only those of messages that were published since then, in Unix seconds.
            until: Only those of messages that were published until then, in Unix seconds.

        Raises:
            Problem: There are too many.
        """
        self._outbox.endpoint(endpoint_id, tenant=self.tenant_id)
        chosen: dict[str, Any] = {
            "tenant": self.tenant_id,
            "endpoint": endpoint_id,
            "states": states,
            "since": since,
            "until": until,
        }
        if len(self._outbox.deliveries(**chosen, limit=MOST_AGAIN + 1)) > MOST_AGAIN:
            detail = f"there are more than {MOST_AGAIN}: choose a shorter time (since, until)"
            raise Problem(409, "too-many-deliveries", detail)
        with self._kept():
            return self._send(as_new=as_new)(**chosen)

    def _send(self, *, as_new: bool) -> Callable[..., int]:
        return self._outbox.send_as_new if as_new else self._outbox.send_again
