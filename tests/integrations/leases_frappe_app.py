"""The whitelisted method of test_leases.py."""

from __future__ import annotations

import frappe
from werkzeug.wrappers import Response

from frappe_hooksig.integrations.frappe import (
    CacheStore,
    get_claim,
    get_delivery,
    verify_frappe_webhook,
)
from tests.integrations.leases_apps import work_if_held


@frappe.whitelist(allow_guest=True)
@verify_frappe_webhook(store=CacheStore())
def asks() -> Response:
    return Response(status=work_if_held(get_delivery(), get_claim()))
