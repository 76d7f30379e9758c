"""A body that was compressed after it was signed, at a sync and at an async adapter."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import flask
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from frappe_hooksig import Scheme, sign_payload
from frappe_hooksig.integrations import flask as flask_adapter
from frappe_hooksig.integrations import starlette as starlette_adapter

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
SCHEME = Scheme(name="zipped", signature_header="X-Signed", encoding="hex", signs_decoded_body=True)
BODY = b'{"n": 1}' + b" " * 5000
SIGNED = sign_payload(BODY, SECRET, scheme=SCHEME).headers

Answer = tuple[int, bytes]
Answerer = Callable[[bytes, dict[str, str]], Answer]


def flask_answer(body: bytes, headers: dict[str, str]) -> Answer:
    """Send a request to a Flask app."""
    app = flask.Flask(__name__)

    @app.post("/")
    @flask_adapter.verify_webhook(SCHEME, secret=SECRET, max_body=10_000)
    def view() -> bytes:
        return flask_adapter.get_delivery().body

    response = app.test_client().post("/", data=body, headers=headers)
    return response.status_code, response.data


def starlette_answer(body: bytes, headers: dict[str, str]) -> Answer:
    """Send a request to a Starlette app."""

    @starlette_adapter.verify_webhook(SCHEME, secret=SECRET, max_body=10_000)
    async def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse(starlette_adapter.get_delivery(request).body)

    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
    response = TestClient(app).post("/", content=body, headers=headers)
    return response.status_code, response.content


ADAPTERS = pytest.mark.parametrize("answer", [flask_answer, starlette_answer])
ZIPPED = {**SIGNED, "Content-Encoding": "gzip"}


@ADAPTERS
def test_handler_gets_what_was_signed(answer: Answerer) -> None:
    """The delivery has the decompressed body."""
    assert answer(gzip.compress(BODY), ZIPPED) == (200, BODY)
    assert answer(BODY, SIGNED) == (200, BODY)


@ADAPTERS
@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (BODY, ZIPPED, 400, b"malformed-header"),
        (gzip.compress(BODY), {**SIGNED, "Content-Encoding": "br"}, 400, b"malformed-header"),
        (gzip.compress(BODY + b"!"), ZIPPED, 401, b"signature-mismatch"),
        (gzip.compress(bytes(10_001)), ZIPPED, 413, b"body-too-large"),
    ],
    ids=["not compressed", "other coding", "other body", "bomb"],
)
def test_refusals(
    answer: Answerer, body: bytes, headers: dict[str, str], status: int, reason: bytes
) -> None:
    """What cannot be decompressed, or becomes too large, is refused."""
    code, content = answer(body, headers)

    assert code == status
    assert reason in content
