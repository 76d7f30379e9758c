"""The Django app that is served by several processes: its deliveries are those of `once_apps`."""

from __future__ import annotations

import os
import time

from django.db import connections
from django.http import HttpRequest, JsonResponse
from django.urls import path

from frappe_hooksig.integrations.django import DjangoStore, get_delivery, verify_frappe_webhook
from frappe_hooksig.replay import _deduplication

# Less patient, so that a repeat while the first one is handled sees both answers.
if "PATIENCE" in os.environ:
    vars(_deduplication)["_PATIENCE"] = float(os.environ["PATIENCE"])


@verify_frappe_webhook(store=DjangoStore("once"))
def note(request: HttpRequest) -> JsonResponse:
    """Take as long as it is told to, and write a row into the database of the store."""
    order = get_delivery(request).json()
    time.sleep(order["takes"])
    with connections["once"].cursor() as cursor:
        cursor.execute("INSERT INTO noted (what) VALUES (%s)", [order["n"]])
    return JsonResponse({"status": "handled"})


urlpatterns = [path("", note)]
