"""The Starlette app of test_leases.py: its endpoints run in threads, its store blocks."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from frappe_hooksig.integrations import starlette
from tests.integrations.leases_apps import OTHER_OPTIONS, SLOW_OPTIONS, work, work_if_held
from tests.integrations.once_apps import OPTIONS, note


@starlette.verify_frappe_webhook(**OPTIONS)
def with_store(request: Request) -> Response:
    return Response(status_code=work(starlette.get_delivery(request)))


@starlette.verify_frappe_webhook(**OTHER_OPTIONS)
def with_other_store(request: Request) -> Response:
    return Response(status_code=work(starlette.get_delivery(request)))


@starlette.verify_frappe_webhook(**SLOW_OPTIONS)
def with_slow_store(request: Request) -> Response:
    return Response(status_code=work(starlette.get_delivery(request)))


@starlette.verify_frappe_webhook(**OPTIONS)
def asks(request: Request) -> Response:
    claim = starlette.get_claim(request)
    return Response(status_code=work_if_held(starlette.get_delivery(request), claim))


@starlette.verify_frappe_webhook(**OPTIONS)
def by_method(request: Request) -> Response:
    note(f"{request.method} {starlette.get_delivery(request).json()['n']}")
    return Response("handled")


starlette_app = Starlette(
    routes=[
        Route("/", with_store, methods=["POST"]),
        Route("/other-store", with_other_store, methods=["POST"]),
        Route("/slow-store", with_slow_store, methods=["POST"]),
        Route("/asks", asks, methods=["POST"]),
        Route("/methods", by_method, methods=["GET", "POST", "OPTIONS", "TRACE"]),
        Route("/get", by_method),
    ]
)
