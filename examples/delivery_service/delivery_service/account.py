"""All that one tenant can see and do. No call here reaches another tenant's rows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, sessionmaker

from delivery_service.formats import CHOICES, FormatName
from delivery_service.problems import Problem
from delivery_service.settings import Settings
from delivery_service.tables import Subscription
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
#: How many deliveries one request may send again.
TEST_EVENT: Final = "test"


@dataclass(frozen=True, kw_only=True)
class NewMessage:
    """A message to publish.

    Attributes:
        event_type: What has happened.
        payload: JSON.
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
        if len(self._outbox.endpoints(tenant=self.tenant_id)) >= self._settings.max_endpoints:
            detail = f"a tenant has at most {self._settings.max_endpoints} endpoints"
            raise Problem(409, "too-many-endpoints", detail)
        chosen = CHOICES[format]
        own = secret if secret is not None else generate_secret(chosen.scheme.secret_format)
        endpoint = self._outbox.add_endpoint(
            url,
            secret=own,
            tenant=self.tenant_id,
            scheme=chosen.scheme,
            format=chosen.format,
            **options,
        )
        self._describe(endpoint.id, description)
        return Described(endpoint=endpoint, description=description), own

    def change_endpoint(
        self, endpoint_id: str, *, description: str | None = None, **options: Any
    ) -> Described:
        """Change an endpoint. What is not given stays as it is."""
        endpoint = self._outbox.change_endpoint(endpoint_id, tenant=self.tenant_id, **options)
        if description is not None:
            self._describe(endpoint_id, description)
        return self._described([endpoint])[0]

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Delete an endpoint. What is on its way to it is cancelled."""
        self._outbox.delete_endpoint(endpoint_id, tenant=self.tenant_id)
        with self._sessions.begin() as session:
            session.execute(delete(Subscription).where(Subscription.endpoint_id == endpoint_id))

    def endpoint(self, endpoint_id: str) -> Described:
        """Return an endpoint."""
        return self._described([self._outbox.endpoint(endpoint_id, tenant=self.tenant_id)])[0]

    def endpoints(self, *, after: str | None = None, limit: int) -> list[Described]:
        """Return endpoints, in the order in which they were added."""
        found = self._outbox.endpoints(tenant=self.tenant_id, after=after, limit=limit)
        return self._described(found)

    def numbers(self) -> dict[str, EndpointNumbers]:
        """Return how each endpoint did in the last hour."""
        numbers = self._outbox.numbers(tenant=self.tenant_id)
        return {each.endpoint_id: each for each in numbers.endpoints}

    def rotate_secret(self, endpoint_id: str, *, overlap: float) -> str:
        """Give an endpoint a new secret, and return it. The old one signs for a while, too."""
        endpoint = self._outbox.endpoint(endpoint_id, tenant=self.tenant_id)
        secret = generate_secret(providers.get(endpoint.scheme).secret_format)
        self._outbox.rotate_secret(endpoint_id, secret, overlap=overlap, tenant=self.tenant_id)
        return secret

    def pause(self, endpoint_id: str, message: str = "") -> None:
        """Send an endpoint nothing for now. What is published for it collects."""
        self._outbox.pause(endpoint_id, message, tenant=self.tenant_id)

    def resume(self, endpoint_id: str) -> None:
        """Send to an endpoint again."""
        self._outbox.resume(endpoint_id, tenant=self.tenant_id)

    def send_test(self, endpoint_id: str) -> DeliveryRecord:
        """Send a test to an endpoint, through the queue like any other message."""
        payload = {"test": True, "sent_at": int(time.time())}
        delivery_id = self._outbox.send_test(
            endpoint_id, event_type=TEST_EVENT, payload=payload, tenant=self.tenant_id
        )
        return self.delivery(delivery_id)

    def _describe(self, endpoint_id: str, description: str) -> None:
        row = Subscription(
            endpoint_id=endpoint_id, tenant_id=self.tenant_id, description=description
        )
        with self._sessions.begin() as session:
            session.merge(row)

    def _described(self, endpoints: Sequence[Endpoint]) -> list[Described]:
        query = select(Subscription).where(
            Subscription.endpoint_id.in_([each.id for each in endpoints]),
            Subscription.tenant_id == self.tenant_id,
        )
        with self._sessions() as session:
            texts = {each.endpoint_id: each.description for each in session.scalars(query)}
        return [Described(endpoint=each, description=texts.get(each.id, "")) for each in endpoints]

    # Messages

    def publish(self, messages: Iterable[NewMessage]) -> list[str]:
        """Publish messages, all or none, and return their ids."""
        with self._sessions.begin() as session:
            return [
                self._outbox.publish(
                    session,
                    each.event_type,
                    each.payload,
                    key=each.key,
                    idempotency_key=each.idempotency_key,
                    tenant=self.tenant_id,
                )
                for each in messages
            ]

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
        return [self._outbox.masked(each) for each in found]

    def delivery(self, delivery_id: int) -> DeliveryRecord:
        """Return a delivery."""
        return self._outbox.masked(self._outbox.delivery(delivery_id, tenant=self.tenant_id))

    def attempts(self, delivery_id: int) -> list[AttemptRecord]:
        """Return the attempts of a delivery, the first one first."""
        found = self._outbox.attempts(delivery_id, tenant=self.tenant_id)
        return [self._outbox.masked(each) for each in found]

    def send_again(self, **chosen: Any) -> int:
        """Send deliveries that have ended once more, with the same id."""
        return self._outbox.send_again(tenant=self.tenant_id, **chosen)

    def send_as_new(self, **chosen: Any) -> int:
        """Send deliveries that have ended once more, with a new id."""
        return self._outbox.send_as_new(tenant=self.tenant_id, **chosen)
