"""Views that respond at once and leave the work to the queue: Frappe waits for 5 seconds."""

import logging

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_POST

from frappe_hooksig import providers
from frappe_hooksig.integrations.django import get_delivery, verify_frappe_webhook, verify_webhook
from webhooks import work

log = logging.getLogger(__name__)


@require_POST
@verify_frappe_webhook
def sales_order(request: HttpRequest) -> JsonResponse:
    """Accept a Sales Order from ERPNext."""
    delivery = get_delivery(request)
    order = delivery.json()
    log.info("Sales Order %r of %r", order["name"], order["customer"])
    return accept(delivery.dedup_key, work.ship, order["name"])


@require_POST
@verify_webhook(providers.GITHUB, secret=settings.GITHUB_WEBHOOK_SECRET)
def github(request: HttpRequest) -> JsonResponse:
    """Accept an event from GitHub, sent as application/json."""
    delivery = get_delivery(request)
    # GitHub does not sign its headers: somebody who sees a delivery can resend it as another event.
    event = request.headers.get("X-GitHub-Event", "")
    if event != "push":
        return JsonResponse({"status": "ignored"})
    push = delivery.json()
    log.info("push to %r of %r", push["ref"], push["repository"]["full_name"])
    return accept(delivery.dedup_key, work.deploy, push["after"])


@require_POST
@verify_webhook(providers.STRIPE, secret=settings.STRIPE_WEBHOOK_SECRET)
def stripe(request: HttpRequest) -> JsonResponse:
    """Accept an event from Stripe."""
    event = get_delivery(request).json()
    if event["type"] != "payment_intent.succeeded":
        return JsonResponse({"status": "ignored"})
    log.info("event %r: %r", event["id"], event["type"])
    # Stripe signs a new timestamp for each attempt, so dedup_key changes. The event's id does not.
    return accept(f"stripe {event['id']}", work.book, event["data"]["object"]["id"])


def accept(key: str, task: work.Task, name: str) -> JsonResponse:
    """Queue a task. If the queue is full, respond with 503, so that the sender retries."""
    status = work.queue(key, task, name)
    return JsonResponse({"status": status}, status=503 if status == "busy" else 202)
