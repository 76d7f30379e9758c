"""What type checkers make of senders, guards and schedules."""

from __future__ import annotations

from typing_extensions import assert_type

from frappe_hooksig.observe import AttemptEvent, Capture, Event, log
from frappe_hooksig.sending import QUICK, AddressGuard, Attempt, Outcome, RetrySchedule, Sender


def count(event: AttemptEvent) -> None:
    """Take the event of an attempt."""
    assert_type(event.kind, Outcome)
    assert_type(event.status, "int | None")


def count_requests(event: Event) -> None:
    """Take the event of a request that was received."""
    assert_type(event.path, str)


sender = Sender("secret", guard=AddressGuard(["10.0.0.5"]), observe=[log, count])
attempt = sender.send("https://example.com/", {"a": [1, None]})
assert_type(attempt, Attempt)
assert_type(sender.send("https://example.com/", b"", headers={"X-Event": "a"}), Attempt)
assert_type(attempt.is_delivered, bool)
assert_type(attempt.retry_after, "float | None")
assert_type(QUICK.delay(1, attempt), "float | None")
assert_type(QUICK.run(lambda: sender.send("https://example.com/", b"")), list[Attempt])
assert_type(RetrySchedule((1, 2.5)).duration, float)
with Sender("secret") as other:
    assert_type(other, Sender)

attempt.status = 200  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
Sender("secret", observe=count_requests)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Sender("secret", observe=Capture("folder"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Sender("secret", guard=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
sender.send("https://example.com/", {1, 2})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
