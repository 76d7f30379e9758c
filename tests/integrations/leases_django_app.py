"""The Django app of test_leases.py, served under ASGI."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path

from frappe_hooksig.integrations.django import (
    DjangoStore,
    get_claim,
    get_delivery,
    verify_frappe_webhook,
)
from tests.integrations.leases_apps import work, work_if_held
from tests.integrations.once_apps import OPTIONS, begin, end, note

_options: Any = OPTIONS
if "IN_DATABASE" in os.environ:
    _options = OPTIONS | {"store": DjangoStore("once")}
verified = verify_frappe_webhook(**_options)


@verified
def with_store(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=work(get_delivery(request)))


@verified
async def with_threads(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=await asyncio.to_thread(work, get_delivery(request)))


@verified
async def sleeps(request: HttpRequest) -> HttpResponse:
    delivery = get_delivery(request)
    takes, status = begin(delivery)
    await asyncio.sleep(takes)
    return HttpResponse(status=end(delivery, status))


@verified
def asks(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=work_if_held(get_delivery(request), get_claim(request)))


@verified
async def async_asks(request: HttpRequest) -> HttpResponse:
    status = await asyncio.to_thread(work_if_held, get_delivery(request), get_claim(request))
    return HttpResponse(status=status)


@verified
def by_method(request: HttpRequest) -> HttpResponse:
    note(f"{request.method} {get_delivery(request).json()['n']}")
    return HttpResponse("handled")


@verified
async def async_by_method(request: HttpRequest) -> HttpResponse:
    note(f"{request.method} {get_delivery(request).json()['n']}")
    return HttpResponse("handled")


urlpatterns = [
    path("", with_store),
    path("threads", with_threads),
    path("sleeps", sleeps),
    path("asks", asks),
    path("async-asks", async_asks),
    path("methods", by_method),
    path("async-methods", async_by_method),
]
