"""The Django app that test_django.py serves with gunicorn and sends requests to."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from frappe_hooksig import Verifier
from frappe_hooksig.integrations.django import get_delivery, verify_frappe_webhook, verify_webhook
from tests.integrations import conformance
from tests.integrations.conformance import LIMITED, OLD, Comparisons

comparisons = Comparisons()


def seen(request: HttpRequest, **kwargs: Any) -> JsonResponse:
    """Answer with what a view can see of a verified request."""
    return JsonResponse({**conformance.seen(get_delivery(request), request.body), **kwargs})


def compared(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"count": comparisons.so_far()})


def parsed(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"json": get_delivery(request).json()})


def form(request: HttpRequest) -> JsonResponse:
    every: Any = request.FILES.items()
    files = {name: file.read().decode() for name, file in every}
    return JsonResponse({"form": request.POST.dict(), "files": files})


def boom(_request: HttpRequest) -> HttpResponse:
    msg = "the handler's own fault"
    raise ValueError(msg)


def secret_of_capture(request: HttpRequest) -> Any:
    """Return the secret of the site that a path stands for, or None."""
    assert type(request).__module__.startswith("django.")
    assert request.resolver_match
    return conformance.secret_of_capture(request.resolver_match.kwargs["index"])


LOOKS: dict[str, Callable[[HttpRequest], object]] = {
    "body": lambda request: request.body,
    "post": lambda request: request.POST,
    "get": lambda request: request.GET,
    "headers": lambda request: request.headers,
    "read": lambda request: request.read(),
    "part-of-read": lambda request: request.read(1),
    "readline": lambda request: request.readline(),
}


def first(look: Callable[[HttpRequest], object]) -> Callable[..., Any]:
    """Let something look at the request before it is verified, as a careless app does."""
    verified = verify_frappe_webhook(seen)

    @wraps(verified)
    def inner(request: HttpRequest) -> HttpResponse:
        look(request)
        return verified(request)

    return inner


class Hook(View):
    """A class view."""

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return seen(request, method="get", **kwargs)

    def post(self, request: HttpRequest, **kwargs: Any) -> JsonResponse:
        return seen(request, method="post", **kwargs)


@method_decorator(verify_frappe_webhook, name="dispatch")
class Dispatched(Hook):
    """Decorated as Django documents it."""


@verify_frappe_webhook
class Decorated(Hook):
    """Decorated itself."""


class OneMethod(Hook):
    """A class of which one method is verified."""

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:  # noqa: ARG002
        return HttpResponse("open to everybody")

    @method_decorator(verify_frappe_webhook)
    def post(self, request: HttpRequest, **kwargs: Any) -> JsonResponse:
        return super().post(request, **kwargs)


class Misdecorated(View):
    """A method that gets its instance where a view gets the request."""

    @verify_frappe_webhook
    def post(self, request: HttpRequest) -> JsonResponse:
        return seen(request)


urlpatterns = [
    path("compared", csrf_exempt(compared)),
    path("frappe", verify_frappe_webhook(seen)),
    path("limited", verify_frappe_webhook(max_body=LIMITED)(seen)),
    path("captures/<int:index>", verify_frappe_webhook(secret=secret_of_capture)(seen)),
    path("json", verify_frappe_webhook(parsed)),
    path("form", verify_frappe_webhook(form)),
    path("boom", verify_frappe_webhook(boom)),
    path("unverified", csrf_exempt(seen)),
    path("not-exempt", seen),
    path("verifier", verify_webhook(Verifier(OLD, max_body=10))(seen)),
    path("dispatched/<name>", Dispatched.as_view()),
    path("decorated/<name>", Decorated.as_view()),
    path("as-view/<name>", verify_frappe_webhook(Hook.as_view())),
    path("one-method/<name>", csrf_exempt(OneMethod.as_view())),
    path("one-method-not-exempt/<name>", OneMethod.as_view()),
    path("misdecorated", csrf_exempt(Misdecorated.as_view())),
    *(
        path(where, verify_webhook(sender, **options)(seen))
        for where, (sender, options) in conformance.senders().items()
    ),
    *(path(f"after/{what}", first(look)) for what, look in LOOKS.items()),
]
