"""The Django app that test_django_store.py serves with several processes."""

from __future__ import annotations

import time

from django.db import connections
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from frappe_hooksig import once
from frappe_hooksig.integrations.django import get_delivery, verify_frappe_webhook
from frappe_hooksig.integrations.django.stores import DjangoStore

# Less patient, so that a repeat while the first one is handled sees both answers.
vars(once)["_PATIENCE"] = 0.1


@verify_frappe_webhook(store=DjangoStore("once"))
def slow(request: HttpRequest) -> JsonResponse:
    """Take 300 ms, and write a row."""
    order = get_delivery(request).json()["order"]
    time.sleep(0.3)
    with connections["once"].cursor() as cursor:
        cursor.execute("INSERT INTO noted (what) VALUES (%s)", [order])
    return JsonResponse({"status": "handled"})


@csrf_exempt
def noted(_request: HttpRequest) -> JsonResponse:
    with connections["once"].cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM noted")
        return JsonResponse({"count": cursor.fetchone()[0]})


urlpatterns = [path("slow", slow), path("noted", noted)]
