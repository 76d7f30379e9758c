"""Views that store the event and respond at once: Frappe waits for 5 seconds."""

import logging

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_POST

from frappe_hooksig import MalformedPayload, providers
from frappe_hooksig.integrations.django import get_delivery, verify_frappe_webhook, verify_webhook
from webhooks import work

log = logging.getLogger(__name__)


@require_POST
@verify_frappe_webhook
def sales_order(request: HttpRequest) -> JsonResponse:
    """Accept a Sales Order from ERPNext."""
    delivery = get_delivery(request)
    match delivery.json():
        case {"name": str(name), "data": {"customer": str(customer)}}:
            log.info("Sales Order %r of %r", name, customer)
            return accept(delivery.dedup_key, "ship", name)
        case _:
            msg = "expected name, and data with customer: use the JSON Request Body of manage.py"
            raise MalformedPayload(msg)


@require_POST
@verify_webhook(providers.GITHUB, secret=settings.GITHUB_WEBHOOK_SECRET)
def github(request: HttpRequest) -> JsonResponse:
    """Accept an event from GitHub, sent as application/json."""
    delivery = get_delivery(request)
    # GitHub does not sign its headers: somebody who sees a delivery can resend it as another event.
    if request.headers.get("X-GitHub-Event") != "push":
        return JsonResponse({"status": "ignored"})
    match delivery.json():
        case {"ref": str(ref), "after": str(commit), "repository": {"full_name": str(repository)}}:
            log.info("push to %r of %r", ref, repository)
            return accept(delivery.dedup_key, "deploy", commit)
        case _:
            msg = "expected a push with ref, after and repository"
            raise MalformedPayload(msg)


@require_POST
@verify_webhook(providers.STRIPE, secret=settings.STRIPE_WEBHOOK_SECRET)
def stripe(request: HttpRequest) -> JsonResponse:
    """Accept an event from Stripe."""
    delivery = get_delivery(request)
    match delivery.json():
        case {
            "id": str(event),
            "type": "payment_intent.succeeded",
            "data": {"object": {"id": str(payment)}},
        }:
            log.info("event %r", event)
            return accept(delivery.dedup_key, "book", payment)
        case {"id": str(), "type": str(kind)} if kind != "payment_intent.succeeded":
            return JsonResponse({"status": "ignored"})
        case _:
            msg = "expected id and type, and for a payment its object"
            raise MalformedPayload(msg)


def accept(key: str, task: str, name: str) -> JsonResponse:
    """Store an event, and respond."""
    # The views share the table. One for each sender keeps their keys apart.
    return JsonResponse({"status": work.keep(f"{task} {key}", task, name)}, status=202)
