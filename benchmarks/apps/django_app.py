"""Django, sync and async: one view unverified, one verified by hand, one by us."""

from __future__ import annotations

import json
import os

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from benchmarks.by_hand import Refused, three_lines
from frappe_hooksig.integrations.django import get_delivery, verify_frappe_webhook

# The middleware of `django-admin startproject` that a view without pages and users has a use for.
settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY="of no use here",
    FRAPPE_WEBHOOK_SECRET=os.environ["FRAPPE_WEBHOOK_SECRET"],
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
)
django.setup()
check = three_lines(os.environ["FRAPPE_WEBHOOK_SECRET"].encode())


@csrf_exempt
def unverified(request: HttpRequest) -> JsonResponse:
    """Parse what anybody sends."""
    order = json.loads(request.body)
    return JsonResponse({"received": order["name"]})


@csrf_exempt
def by_hand(request: HttpRequest) -> HttpResponse:
    """Parse what has the right signature."""
    try:
        check(request.body, request.headers)
    except Refused:
        return HttpResponse(status=401)
    order = json.loads(request.body)
    return JsonResponse({"received": order["name"]})


@verify_frappe_webhook
def verified(request: HttpRequest) -> JsonResponse:
    """Parse what Frappe has signed."""
    order = get_delivery(request).json()
    return JsonResponse({"received": order["name"]})


@csrf_exempt
async def async_unverified(request: HttpRequest) -> JsonResponse:
    """Parse what anybody sends."""
    order = json.loads(request.body)
    return JsonResponse({"received": order["name"]})


@csrf_exempt
async def async_by_hand(request: HttpRequest) -> HttpResponse:
    """Parse what has the right signature."""
    try:
        check(request.body, request.headers)
    except Refused:
        return HttpResponse(status=401)
    order = json.loads(request.body)
    return JsonResponse({"received": order["name"]})


@verify_frappe_webhook
async def async_verified(request: HttpRequest) -> JsonResponse:
    """Parse what Frappe has signed."""
    order = get_delivery(request).json()
    return JsonResponse({"received": order["name"]})


urlpatterns = [
    path("unverified", unverified),
    path("by-hand", by_hand),
    path("verified", verified),
    path("async-unverified", async_unverified),
    path("async-by-hand", async_by_hand),
    path("async-verified", async_verified),
]

wsgi = get_wsgi_application()
asgi = get_asgi_application()
