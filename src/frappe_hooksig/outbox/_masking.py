"""What may be shown of records to whoever chose a URL: nothing of the network of the workers."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeVar

from frappe_hooksig.outbox._records import AttemptRecord, DeliveryRecord, Endpoint, EndpointNumbers

#: A record that may say why there was no answer, or how soon that was known.
Record = TypeVar("Record", AttemptRecord, DeliveryRecord, Endpoint, EndpointNumbers)

#: By how much longer than the timeout each attempt without an answer takes, in seconds. One that
#: waits for an answer ends a little after the timeout, and must not be told apart by that.
MARGIN: Final = 0.25

_REASON: Final = "no-answer"
# The reasons of a delivery without a status that say nothing about its last attempt. Any other one
# is hidden, also one that a later release adds.
_OTHERS: Final = {
    *("", "exhausted", "worker-lost", "endpoint-deleted"),
    *("bad-payload", "misconfigured", "secret-missing", "key-missing"),
}
_OF_THE_ADDRESS: Final = {"address-not-allowed", "bad-url"}


def masked(record: Record, timeout: float) -> Record:
    """Return a record without what tells an address that is blocked from one that is silent.

    Args:
        record: A record of an outbox.
        timeout: How long an attempt may take, in seconds.
    """
    message = (
        f"the receiver gave no answer within {timeout:g} s: check the host and the port of the "
        "URL, the certificate, and how long the receiver takes"
    )
    if isinstance(record, AttemptRecord):
        if record.status is not None:
            return replace(record, address=None)
        return replace(
            record,
            seconds=timeout,
            outcome="unreachable",
            reason=_REASON,
            message=message,
            answer=b"",
            address=None,
        )
    if isinstance(record, EndpointNumbers):
        return replace(record, mean_seconds=None, longest_seconds=None)
    if isinstance(record, Endpoint):
        is_told = record.reason in _OF_THE_ADDRESS
    else:
        is_told = record.status is None and record.reason not in _OTHERS
        if record.status is None and record.reason == "exhausted":
            attempts = record.message.partition(":")[0]
            return replace(record, message=f"{attempts}: {message}")
    return replace(record, reason=_REASON, message=message) if is_told else record
