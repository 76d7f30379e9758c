"""Deliver what must arrive: an outbox in a database, and workers that send what it has."""

from __future__ import annotations

from frappe_hooksig.outbox._formats import Format, Formatted, OutgoingMessage
from frappe_hooksig.outbox._outbox import Outbox
from frappe_hooksig.outbox._records import (
    AttemptRecord,
    DeliveryRecord,
    Endpoint,
    EndpointNumbers,
    Message,
    Numbers,
    Order,
)
from frappe_hooksig.outbox._sqlite import SQLiteDatabase
from frappe_hooksig.outbox._states import DeliveryState, EndpointState
from frappe_hooksig.outbox._worker import Worker

__all__ = [
    "AttemptRecord",
    "DeliveryRecord",
    "DeliveryState",
    "Endpoint",
    "EndpointNumbers",
    "EndpointState",
    "Format",
    "Formatted",
    "Message",
    "Numbers",
    "Order",
    "Outbox",
    "OutgoingMessage",
    "SQLiteDatabase",
    "Worker",
]
