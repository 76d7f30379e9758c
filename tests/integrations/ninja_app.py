"""The django-ninja app of test_django_ninja.py: what its views return is no response of Django."""

from __future__ import annotations

import asyncio
from typing import Any

from django.http import HttpRequest
from django.urls import path
from django.views.decorators.cache import never_cache
from ninja import NinjaAPI, Schema, Status
from ninja.decorators import decorate_view

from frappe_hooksig.integrations.django import get_delivery, verify_frappe_webhook
from tests.integrations.once_apps import OPTIONS, begin, end

api = NinjaAPI()
verified = verify_frappe_webhook(**OPTIONS)
STATUSES: dict[int, Any] = {200: dict[str, str], 201: dict[str, str], 503: dict[str, str]}


def work(request: HttpRequest) -> tuple[int, dict[str, str]]:
    """Do what a delivery says; return the status and what to answer."""
    delivery = get_delivery(request)
    return end(delivery, begin(delivery)[1]), {"status": "handled"}


@api.post("/dict", response=STATUSES)
@verified
def with_dict(request: HttpRequest) -> Any:
    return work(request)[1]


@api.post("/async-dict", response=STATUSES)
@verified
async def with_dict_of_async(request: HttpRequest) -> Any:
    await asyncio.sleep(0)
    return work(request)[1]


@api.post("/tuple", response=STATUSES)
@verified
def with_tuple(request: HttpRequest) -> Any:
    return work(request)


@api.post("/async-tuple", response=STATUSES)
@verified
async def with_tuple_of_async(request: HttpRequest) -> Any:
    await asyncio.sleep(0)
    return work(request)


@api.post("/status", response=STATUSES)
@verified
def with_status(request: HttpRequest) -> Any:
    return Status(*work(request))


class Order(Schema):
    """What a delivery says."""

    n: str


@api.post("/view", response=STATUSES)
@decorate_view(verified)
def with_view(request: HttpRequest, order: Order) -> Any:
    status, answer = work(request)
    return status, answer | {"status": f"handled {order.n}"}


@api.post("/another-view", response=STATUSES)
@decorate_view(verified)
def with_another_view(request: HttpRequest, order: Order) -> Any:
    return with_view(request, order)


@api.post("/wrapped-view", response=STATUSES)
@decorate_view(never_cache, verified)
def with_wrapped_view(request: HttpRequest, order: Order) -> Any:
    return with_view(request, order)


@api.post("/another-wrapped-view", response=STATUSES)
@decorate_view(never_cache, verified)
def with_another_wrapped_view(request: HttpRequest, order: Order) -> Any:
    return with_view(request, order)


@api.post("/async-view", response=STATUSES)
@decorate_view(verified)
async def with_view_of_async(request: HttpRequest, order: Order) -> Any:
    await asyncio.sleep(0)
    return with_view(request, order)


urlpatterns = [path("", api.urls)]
