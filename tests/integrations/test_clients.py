"""Whatever sends, and whatever makes the body: what is signed is what is sent."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from io import BytesIO
from random import Random
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import frappe
import httpx
import pytest
import redis
import requests

from frappe_hooksig import Scheme, providers
from frappe_hooksig.integrations.frappe import enqueue_webhook, site_config
from frappe_hooksig.integrations.httpx import AsyncSignedTransport, SignedTransport
from frappe_hooksig.integrations.requests import SignedAuth
from frappe_hooksig.sending import AddressGuard, Sender
from tests.frappe_bench import VERSIONS, Bench, valkey_url
from tests.payloads import Payload
from tests.selection import FULL, layout, one_of_each, some_of
from tests.senders import secret_of
from tests.verifying import VerifyingServer, verifying_server

__all__ = ["valkey_url"]  # a fixture

pytestmark = pytest.mark.stress

SITE = "one.localhost"
#: What a worker of Frappe calls; the stand-in's own form of it.
execute_job: Any = import_module("frappe.utils.background_jobs").execute_job

SCHEMES = [providers.get(name) for name in providers.names()]
# The schemes that get many payloads: one for each layout.
THOROUGH = {scheme.name for scheme in one_of_each(SCHEMES, layout)}
TAKEN: list[Scheme] = some_of(SCHEMES, layout)
MANY, FEW = (500, 5) if FULL else (3, 0)


@dataclass(frozen=True)
class Sent:
    """What was handed over, and how to find it in the body."""

    read: Callable[[bytes], object]
    what: object


#: Sends a payload, by one way, and tells what to look for in the body.
Send: TypeAlias = Callable[[Payload], Sent]


def blob(content: bytes) -> Sent:
    """Tell that the body must be these bytes."""
    return Sent(bytes, content)


def value(content: object) -> Sent:
    """Tell that the body must be this value in JSON."""
    return Sent(json.loads, content)


def form(content: dict[str, str]) -> Sent:
    """Tell that the body must be this form."""
    return Sent(lambda body: dict(parse_qsl(body.decode(), keep_blank_values=True)), content)


def part(content: bytes) -> Sent:
    """Tell that the body must contain a part with these bytes."""
    return Sent(lambda body: b"\r\n\r\n" + content + b"\r\n--" in body, True)  # noqa: FBT003


@contextmanager
def through_requests(
    url: str, scheme: Scheme, make: Callable[[Payload], tuple[Sent, dict[str, Any]]]
) -> Iterator[Send]:
    """Send with one session of requests."""
    with requests.Session() as session:
        session.auth = SignedAuth(secret_of(scheme), scheme=scheme)

        def send(payload: Payload) -> Sent:
            sent, arguments = make(payload)
            session.post(url, timeout=30, **arguments)
            return sent

        yield send


def as_json(payload: Payload) -> tuple[Sent, dict[str, Any]]:
    """Use `json=`."""
    return value(payload.value), {"json": payload.value}


def as_data(payload: Payload) -> tuple[Sent, dict[str, Any]]:
    """Use `data=`, with each of the types that it takes."""
    return (
        (form(payload.form), {"data": payload.form}),
        (blob(payload.blob), {"data": payload.blob}),
        (blob(payload.blob), {"data": BytesIO(payload.blob)}),
        (blob(payload.text.encode()), {"data": payload.text}),
    )[len(payload.text) % 4 if payload.text else len(payload.blob) % 4]


def as_files(payload: Payload) -> tuple[Sent, dict[str, Any]]:
    """Use `files=`, with a form beside the file."""
    files = {"f": ("a.bin", BytesIO(payload.blob), "application/octet-stream")}
    return part(payload.blob), {"data": {"a": payload.text}, "files": files}


def in_httpx(payload: Payload) -> tuple[Sent, dict[str, Any]]:
    """Use each argument of httpx that makes a body."""
    return (
        as_json(payload),
        as_files(payload),
        (form(payload.form), {"data": payload.form}),
        (blob(payload.blob), {"content": payload.blob}),
        (blob(payload.text.encode()), {"content": payload.text}),
    )[len(payload.text) % 5 if payload.text else len(payload.blob) % 5]


@contextmanager
def through_httpx(url: str, scheme: Scheme) -> Iterator[Send]:
    """Send with one client of httpx."""
    inner = httpx.HTTPTransport(verify=False)  # the certificates would take long to load
    transport = SignedTransport(secret_of(scheme), scheme=scheme, transport=inner)
    with httpx.Client(transport=transport, timeout=30) as client:

        def send(payload: Payload) -> Sent:
            sent, arguments = in_httpx(payload)
            client.post(url, **arguments)
            return sent

        yield send


@contextmanager
def through_async_httpx(url: str, scheme: Scheme) -> Iterator[Send]:
    """Send with one async client of httpx."""
    inner = httpx.AsyncHTTPTransport(verify=False)
    transport = AsyncSignedTransport(secret_of(scheme), scheme=scheme, transport=inner)
    client = httpx.AsyncClient(transport=transport, timeout=30)
    loop = asyncio.new_event_loop()

    def send(payload: Payload) -> Sent:
        sent, arguments = in_httpx(payload)
        loop.run_until_complete(client.post(url, **arguments))
        return sent

    try:
        yield send
    finally:
        loop.run_until_complete(client.aclose())
        loop.close()


def as_payload(payload: Payload) -> tuple[Sent, Any]:
    """Use each type that can be signed and sent without a client's arguments."""
    return (
        (value(payload.value), payload.value),
        (value([payload.value]), [payload.value]),
        (blob(payload.blob), payload.blob),
        (blob(payload.text.encode()), payload.text),
    )[len(payload.text) % 4 if payload.text else len(payload.blob) % 4]


@contextmanager
def through_sender(url: str, scheme: Scheme) -> Iterator[Send]:
    """Send with one `Sender`."""
    guard = AddressGuard(["127.0.0.1"])
    with Sender(secret_of(scheme), scheme=scheme, guard=guard, timeout=30) as sender:

        def send(payload: Payload) -> Sent:
            sent, given = as_payload(payload)
            attempt = sender.send(url, given)
            assert attempt.is_delivered, attempt
            return sent

        yield send


@contextmanager
def through_frappe(url: str, scheme: Scheme) -> Iterator[Send]:
    """Send from a site of Frappe's stand-in, by a job that waits in a queue in Redis."""

    def send(payload: Payload) -> Sent:
        sent, given = as_payload(payload)
        frappe.init(SITE)
        frappe.connect()
        enqueue_webhook(url, given, site_config(f"hooks.{scheme.name}"), scheme=scheme)
        queue: Any = redis.Redis.from_url(frappe.conf.redis_queue)
        assert not queue.exists("rq:queue:short")
        frappe.db.commit()
        frappe.destroy()
        # What a worker does, which is another process with a site of its own.
        job = pickle.loads(queue.lpop("rq:queue:short"))
        queue.close()
        execute_job(job["site"], job["method"], job["kwargs"], job["user"])
        return sent

    yield send


#: Each way to send: opens a sender for a URL and a scheme. Add a sender as another row.
WAYS: dict[str, Callable[[str, Scheme], AbstractContextManager[Send]]] = {
    "requests json": partial(through_requests, make=as_json),
    "requests data": partial(through_requests, make=as_data),
    "requests files": partial(through_requests, make=as_files),
    "httpx": through_httpx,
    "httpx async": through_async_httpx,
    "Sender": through_sender,
    "enqueue_webhook": through_frappe,
}


@pytest.fixture(scope="module", autouse=True)
def site(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A site that has the secret of each scheme, and allows its receiver."""
    bench = Bench(tmp_path_factory.mktemp("sites"), VERSIONS[-1], valkey_url)
    hooks = {scheme.name: secret_of(scheme) for scheme in SCHEMES}
    bench.new_site(SITE, hooks=hooks, frappe_hooksig_allowed_hosts=["127.0.0.1"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SITES_PATH", str(bench.folder))
        patch.setattr(frappe, "cache", frappe.cache)  # which the first site of a process makes
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[VerifyingServer]:
    """One receiver for all senders."""
    with verifying_server() as running:
        yield running


def test_that_it_can_fail(server: VerifyingServer) -> None:
    """The receiver refuses what nobody has signed."""
    requests.post(server.url_of(providers.GITHUB), json={}, timeout=30)

    assert server.take().refusal.startswith("no X-Hub-Signature-256 header")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scheme", TAKEN, ids=lambda scheme: scheme.name)
def test_what_is_sent_verifies(server: VerifyingServer, way: str, scheme: Scheme) -> None:
    """A receiver accepts each payload, and finds in it what was handed over."""
    dice = Random(f"{way} {scheme.name}")
    with WAYS[way](server.url_of(scheme), scheme) as send:
        for _ in range(MANY if scheme.name in THOROUGH else FEW):
            sent = send(Payload(dice, is_text=scheme.algorithm == "hash"))
            found = server.take()

            assert found.refusal == ""
            assert sent.read(found.body) == sent.what
