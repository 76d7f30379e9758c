"""The Django app that takes two topics of WooCommerce's."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views import View

from frappe_hooksig import Verifier, providers
from frappe_hooksig.integrations.django import get_delivery, verify_webhook
from frappe_hooksig.replay import MemoryStore
from tests.integrations.own_secrets import SECRET

LISTED = ["order.created", "order.updated"]
OPTIONS: Any = {"secret": SECRET, "store": MemoryStore(), "unsigned_events": LISTED}


def handled(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"handled": get_delivery(request).unsigned_event})


@verify_webhook(providers.WOOCOMMERCE, **OPTIONS)
def hook(request: HttpRequest) -> JsonResponse:
    return handled(request)


@verify_webhook(providers.WOOCOMMERCE, **OPTIONS)
async def asynchronous(request: HttpRequest) -> JsonResponse:
    return handled(request)


@verify_webhook(providers.WOOCOMMERCE, **OPTIONS)
class Hook(View):
    """A view by class."""

    def post(self, request: HttpRequest) -> JsonResponse:
        return handled(request)


without_store = verify_webhook(
    Verifier(SECRET, scheme=providers.WOOCOMMERCE, unsigned_events=LISTED)
)(handled)

urlpatterns = [
    path("", hook),
    path("async", asynchronous),
    path("class", Hook.as_view()),
    path("without-store", without_store),
]
