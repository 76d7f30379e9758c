"""The Starlette app of `once_apps`."""

from __future__ import annotations

import asyncio
import time

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from frappe_hooksig.integrations import starlette
from tests.integrations.once_apps import ASYNC_OPTIONS, begin, end


@starlette.verify_frappe_webhook(**ASYNC_OPTIONS)
async def of_starlette(request: Request) -> Response:
    takes, status = begin(starlette.get_delivery(request))
    await asyncio.sleep(takes)
    return Response(status_code=end(starlette.get_delivery(request), status))


@starlette.verify_frappe_webhook(**ASYNC_OPTIONS)
def other_of_starlette(request: Request) -> Response:
    takes, status = begin(starlette.get_delivery(request))
    time.sleep(takes)
    return Response(status_code=end(starlette.get_delivery(request), status))


class Endpoint(HTTPEndpoint):
    """An endpoint by class, which others inherit from."""

    @starlette.verify_frappe_webhook(**ASYNC_OPTIONS)
    async def post(self, request: Request) -> Response:
        delivery = starlette.get_delivery(request)
        return Response(status_code=end(delivery, begin(delivery)[1]))


class Inherited(Endpoint):
    """One of those."""


starlette_app = Starlette(
    routes=[
        Route("/class", Endpoint),
        Route("/class-too", Inherited),
        Route("/", of_starlette, methods=["POST"]),
        Route("/other", other_of_starlette, methods=["POST"]),
    ]
)
