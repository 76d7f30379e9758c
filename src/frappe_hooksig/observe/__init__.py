"""Observe what becomes of each request: `observe=` of every adapter takes these."""

from __future__ import annotations

from frappe_hooksig.observe._capture import Capture
from frappe_hooksig.observe._event import Event, Kind, Observer
from frappe_hooksig.observe._explaining import ExplainToLog
from frappe_hooksig.observe._log import log

__all__ = ["Capture", "Event", "ExplainToLog", "Kind", "Observer", "log"]
