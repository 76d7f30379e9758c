"""The Django app of test_cancelled.py."""

from __future__ import annotations

from typing import Any

from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from frappe_hooksig.integrations.django import DjangoStore, get_delivery, verify_frappe_webhook
from tests.integrations.cancelled_apps import cancelling, work
from tests.integrations.once_apps import ASYNC_OPTIONS, OPTIONS


def view_with(options: Any) -> Any:
    @verify_frappe_webhook(**options)
    async def handle(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=await work(get_delivery(request)))

    return handle


django_app = cancelling(get_asgi_application(), by_disconnect=True)
urlpatterns = [
    path("", view_with(OPTIONS)),
    path("async", view_with(ASYNC_OPTIONS)),
    path("database", view_with(OPTIONS | {"store": DjangoStore("once")})),
]
