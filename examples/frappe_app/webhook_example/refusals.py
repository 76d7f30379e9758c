"""Keeps a list of refused requests in the site: pass `keep_refused` in `observe=`.

Strangers can send as many requests as they like, so the list is bounded: it has few rows, and a
minute brings few new ones. One row counts the other requests of a minute.
"""

from __future__ import annotations

import os
from contextvars import Context
from datetime import timedelta
from html import escape
from threading import Lock, Timer
from typing import Any

import frappe
from frappe.utils import get_datetime, now_datetime

from frappe_hooksig.observe import Event

REFUSED = "Refused Webhook"
MOST_ROWS = 200
MOST_ROWS_A_MINUTE = 60
MINUTE = timedelta(minutes=1)

# The sites that get no row in this minute, and how many requests were left out there. Each route
# has a thread of its own for its observers.
_left_out: dict[str, int] = {}
_lock = Lock()

# The sites whose list cannot be written. Their log says so once.
_failing: set[str] = set()


def keep_refused(event: Event) -> None:
    """Add a refused request to the list of its site.

    Requests that cannot be verified because a secret is missing are in the list too.

    Args:
        event: What became of the request.
    """
    site = event.site
    if site is None or event.kind not in {"refused", "misconfigured"}:
        return
    with _lock:
        if site in _left_out:
            _left_out[site] += 1
            return
    row = {
        "reason": event.reason,
        "message": event.message,
        "endpoint": event.endpoint,
        "scheme": event.scheme,
        "header": event.header,
        "status": event.status,
        "request": escape(f"{event.method} {event.path}"),  # the sender chooses it: no markup
        "body_length": event.body_length,
        "header_names": escape(", ".join(event.header_names)),
    }
    if not _insert(site, row):
        _leave_out(site, 1)


def _leave_out(site: str, requests: int) -> None:
    """Count requests that get no row, and write nothing for the next minute."""
    with _lock:
        if site not in _left_out:
            timer = Timer(MINUTE.total_seconds(), _go_on, [site])
            timer.daemon = True
            timer.start()
        _left_out[site] = _left_out.get(site, 0) + requests


def _go_on(site: str) -> None:
    """Write how many requests were left out. If that is not possible yet, wait on."""
    with _lock:
        requests = _left_out.pop(site)
    message = f"{requests} more requests were refused. logs/frappe_hooksig.log has a line for each"
    if not _insert(site, {"reason": "left-out", "message": message}):
        _leave_out(site, requests)


def _insert(site: str, row: dict[str, Any]) -> bool:
    """Insert a row, unless the list has enough new ones; return whether it is there now."""
    # In an empty context, frappe.local has nothing of another site or of a request.
    return Context().run(_insert_here, site, row)


def _insert_here(site: str, row: dict[str, Any]) -> bool:
    frappe.init(site, sites_path=os.environ.get("SITES_PATH", "."))  # as Frappe's web server does
    try:
        frappe.connect()
        now = now_datetime()
        rows = frappe.get_all(REFUSED, fields=["name", "received_at"], order_by="received_at desc")
        new = [each for each in rows if now - MINUTE < get_datetime(each.received_at) <= now]
        if len(new) >= MOST_ROWS_A_MINUTE:
            return False
        oldest = [each.name for each in rows[MOST_ROWS - 1 :]]
        if oldest:
            frappe.db.delete(REFUSED, {"name": ("in", oldest)})
        frappe.get_doc({"doctype": REFUSED, "received_at": now, **row}).insert()
        frappe.db.commit()
    except Exception as error:  # noqa: BLE001  # the table is missing, or the database is away
        if site not in _failing:
            _failing.add(site)
            frappe.logger("webhook_example").error(
                "cannot list refused webhooks; run `bench migrate` if the app is new: %r", error
            )
        return False
    finally:
        frappe.destroy()
    _failing.discard(site)
    return True
