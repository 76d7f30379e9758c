"""Frappe: a decorator for whitelisted methods, the site's secrets, and a sender for hooks."""

from frappe_hooksig.integrations.frappe._cache_store import CacheStore
from frappe_hooksig.integrations.frappe._decorators import (
    get_claim,
    get_delivery,
    verify_frappe_webhook,
    verify_webhook,
)
from frappe_hooksig.integrations.frappe._sending import enqueue_webhook, send_webhook
from frappe_hooksig.integrations.frappe._site_secrets import SecretReference, password, site_config

__all__ = [
    "CacheStore",
    "SecretReference",
    "enqueue_webhook",
    "get_claim",
    "get_delivery",
    "password",
    "send_webhook",
    "site_config",
    "verify_frappe_webhook",
    "verify_webhook",
]
