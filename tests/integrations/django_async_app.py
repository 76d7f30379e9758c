"""The Django app with async views that test_django_async.py serves with uvicorn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from frappe_hooksig.integrations.django import get_delivery, verify_frappe_webhook, verify_webhook
from tests.integrations import conformance, django_app
from tests.integrations.conformance import LIMITED, SECRET
from tests.integrations.django_app import LOOKS, comparisons


async def seen(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    """Answer with what a view can see of a verified request."""
    await asyncio.sleep(0)
    return django_app.seen(request, **kwargs)


async def compared(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"count": comparisons.so_far()})


async def unverified(request: HttpRequest) -> HttpResponse:
    return django_app.seen(request)


# What csrf_exempt() does; before Django 5 it takes no async view.
for view in (compared, unverified):
    vars(view)["csrf_exempt"] = True


async def parsed(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"json": get_delivery(request).json()})


async def form(request: HttpRequest) -> HttpResponse:
    return django_app.form(request)


async def boom(request: HttpRequest) -> HttpResponse:
    return django_app.boom(request)


async def secret_of_capture(request: HttpRequest) -> Any:
    """Return the secret of the site that a path stands for, or None."""
    await asyncio.sleep(0)
    return django_app.secret_of_capture(request)


def secret_in_a_thread(_request: HttpRequest) -> str:
    """Return the secret where it may block: here asyncio has no running loop."""
    return asyncio.run(_secret())


async def _secret(_request: HttpRequest | None = None) -> str:
    return SECRET


def first(look: Callable[[HttpRequest], object]) -> Callable[..., Any]:
    """Let something look at the request before it is verified, as a careless app does."""
    verified = verify_frappe_webhook(seen)

    @wraps(verified)
    async def inner(request: HttpRequest) -> HttpResponse:
        look(request)
        return await verified(request)

    return inner


class Hook(View):
    """A class view."""

    async def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return await seen(request, method="get", **kwargs)

    async def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return await seen(request, method="post", **kwargs)


class JsonHook(View):
    """A class view of which `get_delivery().json()` may fail."""

    async def post(self, request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        return JsonResponse({"json": get_delivery(request).json()})


@method_decorator(verify_frappe_webhook, name="dispatch")
class DispatchedJson(JsonHook):
    """Decorated as Django documents it."""


@verify_frappe_webhook
class DecoratedJson(JsonHook):
    """Decorated itself."""


@method_decorator(verify_frappe_webhook(secret=secret_in_a_thread), name="dispatch")
class Dispatched(Hook):
    """Decorated as Django documents it."""


@verify_frappe_webhook(secret=secret_in_a_thread)
class Decorated(Hook):
    """Decorated itself."""


@verify_frappe_webhook(secret=_secret)
class Awaited(Hook):
    """Decorated itself, with an async function."""


urlpatterns = [
    path("compared", compared),
    path("frappe", verify_frappe_webhook(seen)),
    path("limited", verify_frappe_webhook(max_body=LIMITED)(seen)),
    path("captures/<int:index>", verify_frappe_webhook(secret=secret_of_capture)(seen)),
    path("json", verify_frappe_webhook(parsed)),
    path("form", verify_frappe_webhook(form)),
    path("boom", verify_frappe_webhook(boom)),
    path("unverified", unverified),
    path("not-exempt", seen),
    path("sync/<name>", verify_frappe_webhook(django_app.seen)),
    path("sync-json", verify_frappe_webhook(django_app.parsed)),
    path("sync-class/<name>", django_app.Dispatched.as_view()),
    path("in-a-thread/<name>", verify_frappe_webhook(secret=secret_in_a_thread)(seen)),
    path("dispatched/<name>", Dispatched.as_view()),
    path("decorated/<name>", Decorated.as_view()),
    path("awaited/<name>", Awaited.as_view()),
    path("as-view/<name>", verify_frappe_webhook(Hook.as_view())),
    path("class-json/dispatched", DispatchedJson.as_view()),
    path("class-json/decorated", DecoratedJson.as_view()),
    *(
        path(where, verify_webhook(sender, **options)(seen))
        for where, (sender, options) in conformance.senders().items()
    ),
    *(path(f"after/{what}", first(look)) for what, look in LOOKS.items()),
]
