"""Settling: what became of a delivery that was claimed, and what that means for its endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from frappe_hooksig.observe._outbox_event import OutboxEvent
from frappe_hooksig.outbox._claims import Claimed
from frappe_hooksig.outbox._database import Connection, among
from frappe_hooksig.outbox._endpoints import stop_endpoint
from frappe_hooksig.outbox._health import Health
from frappe_hooksig.outbox._lanes import leave
from frappe_hooksig.outbox._states import DeliveryState
from frappe_hooksig.sending._attempt import Attempt
from frappe_hooksig.sending._schedule import RetrySchedule

_HELD: Final = "SELECT id, process, attempts FROM hooksig_deliveries WHERE state = 2 AND id IN"
_UPDATE: Final = """\
UPDATE hooksig_deliveries
SET state = :state, due_at = :due_at, set_at = :now, attempts = :attempts, tries = :tries,
    lost = :lost, process = NULL, lane = :lane, hold_until = :hold_until,
    is_set_aside = :is_set_aside, ended_at = :ended_at, status = :status, reason = :reason,
    problem = :problem
WHERE id = :id"""
_INSERT_ATTEMPT: Final = """\
INSERT INTO hooksig_attempts (
    delivery, number, endpoint, started_at, took_ms, outcome, status, reason, problem, answer,
    address
) VALUES (
    :delivery, :number, :endpoint, :started_at, :took_ms, :outcome, :status, :reason, :problem,
    :answer, :address
)"""
_HEALTH: Final = """\
SELECT id, concurrency, failures, failing_since, open_until, ramp FROM hooksig_endpoints
WHERE id IN"""
_SET_HEALTH: Final = """\
UPDATE hooksig_endpoints
SET failures = :failures, failing_since = :failing_since, open_until = :open_until, ramp = :ramp
WHERE id = :id"""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there was no attempt.

    Attributes:
        reason: A code.
        message: A sentence.
        is_of_endpoint: Whether the endpoint is at fault, and not the message.
    """

    reason: str
    message: str
    is_of_endpoint: bool


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a claimed delivery.

    Attributes:
        claimed: The delivery.
        result: The attempt, or why there was none.
        held: How long the result was held back, in seconds.
        is_hidden: Whether nobody may see why there was no answer. Then an attempt that was blocked
            counts as any other one without an answer.
    """

    claimed: Claimed
    result: Attempt | Fault
    held: float = 0.0
    is_hidden: bool = False

    @property
    def fault(self) -> tuple[str, str] | None:
        """A fault of the endpoint, which no later attempt mends by itself: reason and message."""
        result = self.result
        if isinstance(result, Fault):
            return (result.reason, result.message) if result.is_of_endpoint else None
        if result.outcome == "gone":
            return "gone", result.message
        if result.outcome == "blocked" and not self.is_hidden:
            return result.reason, result.message
        return None

    @property
    def changes_health(self) -> bool:
        """Whether the endpoint may do better or worse after it than before."""
        is_delivered = isinstance(self.result, Attempt) and self.result.is_delivered
        return not (is_delivered and self.claimed.was_good)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an endpoint asks for, and what it was promised.

    Attributes:
        schedule: When to try again.
        hold_ms: How long a delivery may hold its lane.
    """

    schedule: RetrySchedule
    hold_ms: int


def settle(
    connection: Connection,
    now: int,
    done: Sequence[Done],
    terms: Mapping[str, Terms],
    disable_after: int,
) -> list[OutboxEvent]:
    """Write what became of deliveries. Those that another process has claimed since are left alone.

    Args:
        connection: A connection in a transaction.
        now: The time, in milliseconds.
        done: What became of them.
        terms: The terms of each endpoint.
        disable_after: How long an endpoint may fail, in milliseconds.

    Returns:
        What to tell observers after the commit.
    """
    held = _held(connection, done)
    events: list[OutboxEvent] = []
    updates: list[dict[str, Any]] = []
    left: list[tuple[str, str]] = []
    for each in held:
        row = _row(each, now, terms[each.claimed.endpoint], events)
        updates.append(row)
        if each.claimed.lane is not None and row["lane"] is None:
            left.append((each.claimed.endpoint, each.claimed.lane))
    connection.change_each(_UPDATE, updates)
    attempts = [
        _attempt(each, each.result, now) for each in held if isinstance(each.result, Attempt)
    ]
    connection.change_each(_INSERT_ATTEMPT, attempts)
    # In one order, so that no two transactions wait for each other.
    for endpoint, lane in sorted(left):
        leave(connection, endpoint, lane, now)
    _note_health(connection, now, held, disable_after, events)
    return events


def _held(connection: Connection, done: Sequence[Done]) -> list[Done]:
    """Return those that their process has still claimed, and for the same attempt.

    After a commit in doubt, they may be settled already, and claimed for the next one.
    """
    if not done:
        return []
    names, values = among("id", sorted(each.claimed.id for each in done))
    found = {*connection.rows(f"{_HELD} {names} {{locked}}", values)}
    return [
        each
        for each in done
        if (each.claimed.id, each.claimed.process, each.claimed.attempts) in found
    ]


def _row(each: Done, now: int, terms: Terms, events: list[OutboxEvent]) -> dict[str, Any]:
    """Return the new values of a delivery."""
    claimed, result = each.claimed, each.result
    row: dict[str, Any] = {
        "id": claimed.id,
        "now": now,
        "state": int(DeliveryState.DUE),
        "due_at": now,
        "attempts": claimed.attempts,
        "tries": claimed.tries,
        "lost": claimed.lost,
        "lane": claimed.lane,
        "hold_until": claimed.hold_until,
        "is_set_aside": claimed.is_set_aside,
        "ended_at": None,
        "status": None,
        "reason": result.reason,
        "problem": result.message,
    }
    if isinstance(result, Fault):
        if not result.is_of_endpoint:
            _give_up(row, claimed, result.reason, result.message, events)
        return row
    row["status"] = result.status
    row["attempts"] += 1
    if result.is_delivered:
        row |= {"state": int(DeliveryState.DELIVERED), "ended_at": now, "lane": None}
    elif each.fault is None:
        _try_again(row, claimed, result, terms, events)
    return row


def _try_again(
    row: dict[str, Any], claimed: Claimed, attempt: Attempt, terms: Terms, events: list[OutboxEvent]
) -> None:
    """Let a delivery have its next attempt when the schedule says so."""
    now = row["now"]
    row["tries"] += 1
    row["lost"] = 0  # whatever ended the processes before, it was not this delivery
    # A schedule has no delay after an attempt that was blocked.
    counted = replace(attempt, outcome="unreachable") if attempt.outcome == "blocked" else attempt
    delay = terms.schedule.delay(row["tries"], counted)
    if delay is None:
        last = f"the last of {row['tries']} attempts failed: {attempt.message}"
        _give_up(row, claimed, "exhausted", last, events)
        return
    row["due_at"] = now + int(delay * 1000)
    if claimed.lane is None:
        return
    if claimed.hold_until is None:
        row["hold_until"] = now + terms.hold_ms
    if row["hold_until"] <= now:
        row |= {"lane": None, "is_set_aside": 1}
        events.append(set_aside(claimed.endpoint, claimed.sent_as))


def _give_up(
    row: dict[str, Any], claimed: Claimed, reason: str, message: str, events: list[OutboxEvent]
) -> None:
    row |= {"state": int(DeliveryState.DEAD), "ended_at": row["now"], "lane": None}
    row |= {"reason": reason, "problem": message}
    events.append(dead_letter(claimed.endpoint, claimed.sent_as, reason, message))


def dead_letter(endpoint: str, message_id: str, reason: str, message: str) -> OutboxEvent:
    """Return the event of a delivery that is given up."""
    return OutboxEvent(
        kind="dead-letter",
        endpoint_id=endpoint,
        message_id=message_id,
        reason=reason,
        message=message,
    )


def set_aside(endpoint: str, message_id: str) -> OutboxEvent:
    """Return the event of a delivery that no longer holds its lane."""
    return OutboxEvent(
        kind="set-aside",
        endpoint_id=endpoint,
        message_id=message_id,
        reason="held-too-long",
        message="the message failed for so long that those after it are sent before it (hold=)",
    )


def _attempt(each: Done, attempt: Attempt, now: int) -> dict[str, Any]:
    return {
        "delivery": each.claimed.id,
        "number": each.claimed.attempts + 1,
        "endpoint": each.claimed.endpoint,
        "started_at": now - round((attempt.seconds + each.held) * 1000),
        "took_ms": int(attempt.seconds * 1000),
        "outcome": attempt.outcome,
        "status": attempt.status,
        "reason": attempt.reason,
        "problem": attempt.message,
        "answer": attempt.answer,
        "address": attempt.address,
    }


def _note_health(
    connection: Connection,
    now: int,
    held: Sequence[Done],
    disable_after: int,
    events: list[OutboxEvent],
) -> None:
    """Note how endpoints do, if anything changes by it. Else all attempts would write one row."""
    changed = {each.claimed.endpoint for each in held if each.changes_health}
    if not changed:
        return
    names, values = among("id", sorted(changed))
    for endpoint, *columns in connection.rows(f"{_HEALTH} {names} ORDER BY id {{locked}}", values):
        health = Health(*columns)
        before = (health.failures, health.ramp, health.open_until)
        was_failing = health.is_failing
        pauses = [
            pause
            for each in held
            if each.claimed.endpoint == endpoint and (pause := _note(health, each, now)) is not None
        ]
        if (health.failures, health.ramp, health.open_until) != before:
            connection.change(
                _SET_HEALTH,
                {
                    "id": endpoint,
                    "failures": health.failures,
                    "failing_since": health.failing_since,
                    "open_until": health.open_until,
                    "ramp": health.ramp,
                },
            )
        if was_failing != health.is_failing:
            events.append(_turned(endpoint, health))
        stops: list[tuple[Literal["paused", "disabled"], str, str]] = [
            ("paused", reason, message) for reason, message in pauses
        ]
        since = health.failing_since
        if health.is_failing and since is not None and since <= now - disable_after:
            days = (now - since) / 86_400_000
            message = f"the endpoint is failing for {days:.1f} days (disable_after=)"
            stops.append(("disabled", "failing", message))
        for state, reason, message in stops:
            if stop_endpoint(connection, endpoint, state, reason, message):
                stopped = OutboxEvent(
                    kind=state, endpoint_id=endpoint, reason=reason, message=message
                )
                events.append(stopped)


def _note(health: Health, done: Done, now: int) -> tuple[str, str] | None:
    """Note a result; return the reason and the message if the endpoint is to be paused."""
    fault = done.fault
    if fault is None and isinstance(done.result, Attempt):
        if done.result.is_delivered:
            health.succeed()
        else:
            health.fail(now)
    return fault


def _turned(endpoint: str, health: Health) -> OutboxEvent:
    if health.is_failing:
        return OutboxEvent(
            kind="failing",
            endpoint_id=endpoint,
            reason="failing",
            message=f"{health.failures} attempts in a row have failed: one at a time from now on",
        )
    return OutboxEvent(
        kind="recovered",
        endpoint_id=endpoint,
        reason="recovered",
        message="an attempt has arrived after several that failed",
    )
