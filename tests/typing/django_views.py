"""What type checkers make of decorated Django views. Checked, never run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from rest_framework.request import Request
from typing_extensions import assert_type

from frappe_hooksig import Delivery, Verifier, providers
from frappe_hooksig.integrations.django import get_delivery, verify_frappe_webhook, verify_webhook


@verify_frappe_webhook
def bare(request: HttpRequest, name: str) -> JsonResponse:
    """Used bare."""
    assert_type(get_delivery(request), Delivery)
    return JsonResponse({"name": name})


@verify_frappe_webhook(secret=["new", "old"], max_body=1024)
def called(_request: HttpRequest, *, again: int = 0) -> HttpResponse:
    """Used with options."""
    return HttpResponse("again" * again)


@verify_webhook(Verifier("secret", scheme=providers.STRIPE))
async def asynchronous(_request: HttpRequest) -> HttpResponse:
    """Async stays async."""
    return HttpResponse()


def secret_of(request: HttpRequest) -> str | None:
    """Find a secret for each sender."""
    return request.headers.get("X-Site")


async def secret_later(request: HttpRequest) -> list[str] | None:
    """Find several, and wait for them."""
    return [request.path]


@verify_webhook(providers.GITHUB, secret=secret_of, tolerance=None)
def many_senders(_request: HttpRequest) -> HttpResponse:
    """Used with a function."""
    return HttpResponse()


@verify_frappe_webhook(secret=secret_later)
async def many_senders_later(_request: HttpRequest) -> HttpResponse:
    """Used with an async function."""
    return HttpResponse()


@verify_frappe_webhook
class Hook(View):
    """A class stays the class it is."""

    number = 1

    def post(self, request: HttpRequest) -> HttpResponse:
        """Methods are left alone."""
        return HttpResponse(get_delivery(request).body)


@method_decorator(verify_frappe_webhook, name="dispatch")
class Dispatched(Hook):
    """As Django documents it."""


@method_decorator(verify_webhook(providers.GITHUB, secret="secret"), name="dispatch")
class DispatchedWithOptions(Hook):
    """As Django documents it, with options."""


def of_rest_framework(request: Request) -> Delivery:
    """REST framework's request has a delivery too."""
    return get_delivery(request)


assert_type(bare(HttpRequest(), "a"), JsonResponse)
assert_type(called(HttpRequest(), again=1), HttpResponse)
assert_type(Hook().number, int)
assert_type(Hook().post(HttpRequest()), HttpResponse)
asynchronous_is: Callable[[HttpRequest], Coroutine[Any, Any, HttpResponse]] = asynchronous
urlpatterns = [
    path("bare/<name>", bare),
    path("async", asynchronous),
    path("hook", Hook.as_view()),
    path("as-view", verify_frappe_webhook(Dispatched.as_view())),
]

bare(HttpRequest(), 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
called(HttpRequest(), again="b")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
get_delivery("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
verify_frappe_webhook(secrets="x")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
verify_webhook(secret="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
verify_webhook("github", secret="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
