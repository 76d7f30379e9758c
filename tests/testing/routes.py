"""One route in each framework, in this process, for the framework's own test client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import frappe
import pytest
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import clear_url_caches, path
from fastapi import APIRouter, Depends, FastAPI
from flask import Flask
from frappe.app import application
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from werkzeug.test import Client as WerkzeugClient

from frappe_hooksig import Delivery
from frappe_hooksig.integrations import django, fastapi, flask, starlette
from frappe_hooksig.integrations import frappe as frappe_adapter
from frappe_hooksig.testing import SignedRequest
from tests.frappe_bench import Bench
from tests.integrations import test_django

__all__ = ["test_django"]  # its import configures Django

#: Sends a request to a route, and returns the status and the parsed body of the response.
Send: TypeAlias = Callable[[SignedRequest], tuple[int, Any]]


def flask_route(senders: Any, **options: Any) -> Send:
    app = Flask("of-one-route")

    @app.post("/hook")
    @flask.verify_webhook(senders, **options)
    def hook() -> Any:
        return handled(flask.get_delivery())

    def send(request: SignedRequest) -> tuple[int, Any]:
        response = app.test_client().post("/hook", **request.for_flask)
        return response.status_code, response.json

    return send


def starlette_route(senders: Any, **options: Any) -> Send:
    @starlette.verify_webhook(senders, **options)
    async def hook(request: Request) -> JSONResponse:
        return JSONResponse(handled(starlette.get_delivery(request)))

    app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
    return partial(sent_by_httpx, TestClient(app, raise_server_exceptions=False))


def fastapi_route(senders: Any, **options: Any) -> Send:
    webhook = fastapi.Webhook(senders, **options)
    router = APIRouter(route_class=fastapi.WebhookRoute)

    @router.post("/hook")
    async def hook(delivery: Delivery = Depends(webhook)) -> Any:
        return handled(delivery)

    app = FastAPI()
    app.include_router(router)
    return partial(sent_by_httpx, TestClient(app, raise_server_exceptions=False))


def sent_by_httpx(client: TestClient, request: SignedRequest) -> tuple[int, Any]:
    response = client.post("/hook", **request.for_httpx)
    is_json = response.headers["content-type"] == "application/json"
    return response.status_code, response.json() if is_json else None


class Urls:
    """All routes of Django: a test may send to one of them from several threads."""

    urlpatterns: ClassVar[list[Any]] = []

    @classmethod
    def add(cls, view: Any) -> str:
        """Add a route; return its path."""
        url = f"hook/{len(cls.urlpatterns)}"
        cls.urlpatterns.append(path(url, view))
        clear_url_caches()
        return f"/{url}"


def django_route(senders: Any, **options: Any) -> Send:
    @django.verify_webhook(senders, **options)
    def hook(request: HttpRequest) -> JsonResponse:
        return JsonResponse(handled(django.get_delivery(request)))

    url = Urls.add(hook)

    def send(request: SignedRequest) -> tuple[int, Any]:
        response = Client(raise_request_exception=False).post(url, **request.for_django)
        return response.status_code, json.loads(response.content) if response.content else None

    return send


def async_django_route(senders: Any, **options: Any) -> Send:
    @django.verify_webhook(senders, **options)
    async def hook(request: HttpRequest) -> JsonResponse:
        return JsonResponse(handled(django.get_delivery(request)))

    url = Urls.add(hook)

    def send(request: SignedRequest) -> tuple[int, Any]:
        client = AsyncClient(raise_request_exception=False)
        response = asyncio.run(client.post(url, **request.for_django))
        return response.status_code, json.loads(response.content)

    return send


def frappe_route(senders: Any, **options: Any) -> Send:
    @frappe.whitelist(allow_guest=True)
    @frappe_adapter.verify_webhook(senders, **options)
    def hook() -> None:
        # A response that Frappe does not wrap in "message".
        frappe.local.response.update(handled(frappe_adapter.get_delivery()))

    globals()["whitelisted"] = hook
    path = f"/api/method/{__name__}.whitelisted"

    def send(request: SignedRequest) -> tuple[int, Any]:
        client = WerkzeugClient(application)
        options = {"base_url": "http://site.localhost", **request.for_flask}
        # Buffered, so that the response is closed, and with it the site's connection.
        response = client.post(path, **options, buffered=True)
        return response.status_code, response.json

    return send


def handled(delivery: Delivery) -> dict[str, Any]:
    payload = delivery.json()
    if payload == {"fail": True}:
        raise ZeroDivisionError
    return {"status": "handled", "payload": payload}


ROUTES: dict[str, Callable[..., Send]] = {
    "flask": flask_route,
    "starlette": starlette_route,
    "fastapi": fastapi_route,
    "django": django_route,
    "django-async": async_django_route,
    "frappe": frappe_route,
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The site of Frappe's route, and the URLs of Django's. A module imports it, to have it."""
    monkeypatch.setenv("SITES_PATH", str(tmp_path))
    Bench(tmp_path, "16", "redis://127.0.0.1:1").new_site("site.localhost")
    with override_settings(ROOT_URLCONF=Urls):
        yield


@pytest.fixture(params=ROUTES)
def route(request: pytest.FixtureRequest, site: None) -> Callable[..., Send]:  # noqa: ARG001
    """Makes a route, with the arguments of `verify_webhook()`. It needs `site`."""
    return ROUTES[request.param]
