"""The same with Django REST framework: function views and class views."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import path
from django.utils.decorators import method_decorator
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from frappe_hooksig.integrations.django import get_delivery, verify_frappe_webhook, verify_webhook
from tests.integrations import conformance
from tests.integrations.conformance import LIMITED, METHODS
from tests.integrations.django_app import LOOKS, comparisons, secret_of_capture

posted: Any = api_view(["POST"])
every: Any = api_view(METHODS)


def seen(request: Request, **kwargs: Any) -> Response:
    """Answer with what a view can see of a verified request."""
    assert isinstance(request, Request)
    return Response({**conformance.seen(get_delivery(request), request.body), **kwargs})


def parsed(request: Request) -> Response:
    return Response({"json": get_delivery(request).json()})


def form(request: Request) -> Response:
    parsed: Any = request.data
    fields = {name: value for name, value in parsed.items() if name not in request.FILES}
    files = {name: file.read().decode() for name, file in request.FILES.items()}
    return Response({"form": fields, "files": files})


def data(request: Request) -> Response:
    return Response({"data": request.data})


def boom(_request: Request) -> Response:
    msg = "the handler's own fault"
    raise ValueError(msg)


def compared(_request: Request) -> Response:
    return Response({"count": comparisons.so_far()})


def first(what: str) -> Any:
    """Let something look at the request before it is verified, as a careless app does."""

    def view(request: Request) -> Response:
        LOOKS[what](request)
        return verify_frappe_webhook(seen)(request)

    return posted(view)


class Hook(APIView):
    """Each method is verified."""

    def post(self, request: Request, **kwargs: Any) -> Response:
        return seen(request, **kwargs)

    get = put = delete = post


@method_decorator(verify_frappe_webhook, name="dispatch")
class Dispatched(Hook):
    """Decorated as Django documents it."""


@verify_frappe_webhook
class Decorated(Hook):
    """Decorated itself."""


@verify_frappe_webhook
class Hooks(ViewSet):
    """A view set."""

    def create(self, request: Request, **kwargs: Any) -> Response:
        return seen(request, **kwargs)


class OneMethod(Hook):
    """A class of which one method is verified."""

    @method_decorator(verify_frappe_webhook)
    def post(self, request: Request, **kwargs: Any) -> Response:
        return super().post(request, **kwargs)


@verify_frappe_webhook
class Json(APIView):
    """What a class view cannot parse."""

    def post(self, request: HttpRequest) -> Response:
        return Response({"json": get_delivery(request).json()})


urlpatterns = [
    path("compared", posted(compared)),
    path("frappe", every(verify_frappe_webhook(seen))),
    path("limited", posted(verify_frappe_webhook(max_body=LIMITED)(seen))),
    path("captures/<int:index>", every(verify_frappe_webhook(secret=secret_of_capture)(seen))),
    path("json", posted(verify_frappe_webhook(parsed))),
    path("form", posted(verify_frappe_webhook(form))),
    path("boom", posted(verify_frappe_webhook(boom))),
    path("unverified", posted(seen)),
    path("data", posted(verify_frappe_webhook(data))),
    path("class-json", Json.as_view()),
    path("dispatched/<name>", Dispatched.as_view()),
    path("decorated/<name>", Decorated.as_view()),
    path("view-set/<name>", Hooks.as_view({"post": "create"})),
    path("one-method/<name>", OneMethod.as_view()),
    path("outermost/<name>", verify_frappe_webhook(posted(seen))),
    *(
        path(where, posted(verify_webhook(sender, **options)(seen)))
        for where, (sender, options) in conformance.senders().items()
    ),
    *(path(f"after/{what}", first(what)) for what in LOOKS),
]
