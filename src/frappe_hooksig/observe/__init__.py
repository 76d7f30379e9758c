"""Observe what becomes of each request, each attempt and an outbox: these are for `observe=`."""

from __future__ import annotations

from frappe_hooksig.observe._attempt_event import AttemptEvent, AttemptObserver
from frappe_hooksig.observe._capture import Capture
from frappe_hooksig.observe._event import Event, Kind, Observer
from frappe_hooksig.observe._explaining import ExplainToLog
from frappe_hooksig.observe._log import log
from frappe_hooksig.observe._outbox_event import OutboxEvent, OutboxKind, OutboxObserver

__all__ = [
    "AttemptEvent",
    "AttemptObserver",
    "Capture",
    "Event",
    "ExplainToLog",
    "Kind",
    "Observer",
    "OutboxEvent",
    "OutboxKind",
    "OutboxObserver",
    "log",
]
