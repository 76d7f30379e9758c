"""What an outbox tells of its endpoints, messages, deliveries and attempts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from frappe_hooksig.observe._attempt_event import Outcome
from frappe_hooksig.outbox._states import DeliveryState, EndpointState
from frappe_hooksig.sending._schedule import RetrySchedule

#: Whether an endpoint gets messages of one key in their order.
Order: TypeAlias = Literal["none", "key"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where messages are sent to.

    Attributes:
        id: Its id.
        url: The receiver's URL. It may contain a token, so it is not in the repr.
        tenant: Whose messages it gets; empty if there are no tenants.
        event_types: Which messages it gets: event types, `invoice.*` for all that begin with
            `invoice.`, or `*` for all.
        method: The HTTP method.
        scheme: The name of the scheme that signs.
        format: The name of the format of its requests; None if payloads are sent as they are.
        secret_from: Where its secrets are, the newest first; `encrypted` for one that is stored.
        old_secret_ends: Until when a secret that `rotate_secret()` has replaced signs, too, in Unix
            seconds. It may have passed. None if there is none.
        header_names: The names of the further headers that it gets.
        order: `key` if messages with the same key arrive in their order.
        hold: How long a message that fails holds back those after it, in seconds.
        concurrency: How many attempts run at once.
        rate: How many attempts begin in a second; None without a limit.
        schedule: When to try again.
        state: `active`, `paused` or `disabled`.
        reason: Why it is not active: `operator`, `gone`, `secret-missing`, `key-missing`,
            `address-not-allowed`, `bad-url`, `misconfigured` or `failing`. Else empty.
        message: The same as a sentence.
        created_at: When it was added, in Unix seconds.
        failing_since: When the attempts began to fail, in Unix seconds; None if the last one
            arrived.
        failures: How many attempts have failed since then.
    """

    id: str
    url: str = field(repr=False)
    tenant: str
    event_types: tuple[str, ...]
    method: str
    scheme: str
    format: str | None
    secret_from: tuple[str, ...]
    old_secret_ends: float | None
    header_names: tuple[str, ...]
    order: Order
    hold: float
    concurrency: int
    rate: float | None
    schedule: RetrySchedule
    state: EndpointState
    reason: str
    message: str
    created_at: float
    failing_since: float | None
    failures: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What was published.

    Attributes:
        id: Its id.
        event_type: Its event type.
        tenant: Whose it is.
        key: Messages with the same key have an order; None if it has none.
        idempotency_key: The caller's own key for it, or None.
        length: The length of its payload, in bytes; see `Outbox.payload()`.
        created_at: When it was published, in Unix seconds.
        is_routed: Whether its deliveries exist.
    """

    id: str
    event_type: str
    tenant: str
    key: str | None
    idempotency_key: str | None
    length: int
    created_at: float
    is_routed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryRecord:
    """A message on its way to an endpoint.

    Attributes:
        id: A number.
        message_id: The id of the message.
        sent_as: The id that the receiver sees. It differs for what was sent as new.
        event_type: The event type of the message.
        endpoint_id: The id of the endpoint.
        tenant: Whose it is.
        key: The key of the message, or None.
        state: `waiting`, `due`, `claimed`, `delivered`, `dead` or `cancelled`.
        due_at: When it is to be sent, in Unix seconds.
        attempts: How many attempts there were.
        lost: How many times a process ended while it was sending it, since the last attempt that
            failed.
        is_set_aside: Whether it failed for so long that those after it were sent before it.
        created_at: When it was made, in Unix seconds.
        ended_at: When it was delivered or given up, in Unix seconds, or None.
        status: The HTTP status of the last answer, or None.
        reason: As in the last attempt. For a dead letter: `exhausted` after the last attempt of
            the schedule, `worker-lost`, or what is wrong with the message.
        message: The same as a sentence.
    """

    id: int
    message_id: str
    sent_as: str
    event_type: str
    endpoint_id: str
    tenant: str
    key: str | None
    state: DeliveryState
    due_at: float
    attempts: int
    lost: int
    is_set_aside: bool
    created_at: float
    ended_at: float | None
    status: int | None
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptRecord:
    """An attempt to deliver, as it is kept.

    Attributes:
        number: Its number, from 1 on.
        started_at: When it began, in Unix seconds, by the clock of the database.
        seconds: How long it took, in seconds.
        outcome: As in `sending.Attempt`.
        status: The HTTP status of the answer, or None.
        reason: A code; see `sending.Attempt`. `no-answer` in what `Outbox.for_tenant()` returns.
        message: A sentence; see `sending.Attempt`.
        answer: The start of the answer's body. It is what a stranger sent.
        address: The address of the receiver, or None.
    """

    number: int
    started_at: float
    seconds: float
    outcome: Outcome
    status: int | None
    reason: str
    message: str
    answer: bytes = field(repr=False)
    address: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointNumbers:
    """How an endpoint does.

    Attributes:
        endpoint_id: Its id.
        due: How many of its deliveries are due now, or were due before.
        oldest_due: How long the oldest of them has been due, in seconds; 0 without any.
        scheduled: How many are to be sent later, or wait for the one before them.
        dead: How many dead letters it has.
        attempts: How many attempts began in the last hour.
        delivered: How many of these attempts arrived.
        mean_seconds: How long these attempts took on average, in seconds; None without any.
        longest_seconds: How long the longest of them took, in seconds; None without any.
    """

    endpoint_id: str
    due: int
    oldest_due: float
    scheduled: int
    dead: int
    attempts: int
    delivered: int
    mean_seconds: float | None
    longest_seconds: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    """How an outbox does.

    Attributes:
        unrouted: How many messages have no deliveries yet; those of the tenant, if only the numbers
            of one tenant or of one endpoint were asked for.
        due: How many deliveries are due now, without those of endpoints that are not active.
        oldest_due: How long the oldest of them has been due, in seconds; 0 without any.
        endpoints: The numbers of each endpoint.
    """

    unrouted: int
    due: int
    oldest_due: float
    endpoints: tuple[EndpointNumbers, ...]
