"""The recipes of docs/other-frameworks.md: each app as it stands there, on a real server."""

from __future__ import annotations

import base64
import json
import re
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from frappe_hooksig import sign_payload
from tests.integrations.conformance import SIGNATURE
from tests.loopback import ROOT, Server, free_port, served, uvicorn

PAGE = (ROOT / "docs" / "other-frameworks.md").read_text("utf-8")
SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
BODY = b'{"name": "SO-00001"}'
RIGHT = sign_payload(BODY, SECRET).headers[SIGNATURE]
LIMIT = 1_000_000
BLOCK = re.compile("^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
RUN = """
import sys
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
"""


def recipe(title: str) -> str:
    """Return the code of a section, below the lines that all of them begin with."""
    start, *sections = re.split("^## ", PAGE, flags=re.MULTILINE)
    (section,) = (each for each in sections if each.startswith(f"{title}\n"))
    return "\n".join(BLOCK.findall(start) + BLOCK.findall(section))


def by_uvicorn(title: str) -> Callable[[Path], AbstractContextManager[Server]]:
    """Return a function that serves a recipe with uvicorn."""

    def serve(folder: Path) -> AbstractContextManager[Server]:
        (folder / "app.py").write_text(recipe(title), "utf-8")
        return uvicorn("app:app", "--app-dir", str(folder))

    return serve


def by_itself(folder: Path) -> AbstractContextManager[Server]:
    """Serve the recipe for aiohttp, which has a server of its own."""
    (folder / "app.py").write_text(recipe("aiohttp") + RUN, "utf-8")
    return served([sys.executable, "app.py", str(free_port())], folder)


SERVERS = {"Litestar": by_uvicorn("Litestar"), "Quart": by_uvicorn("Quart"), "aiohttp": by_itself}


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Each of the apps."""
    with SERVERS[request.param](tmp_path_factory.mktemp("app")) as running:
        yield running


def test_genuine(server: Server) -> None:
    """A signed request reaches the handler, whatever else it says, at once or in chunks."""
    headers = {SIGNATURE: RIGHT}

    for body in (BODY, [BODY[:7], BODY[7:]]):
        for more in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/json"}):
            answer = server.send("/orders", body, headers | more)
            assert (answer.status, answer.json()) == (200, {"received": "SO-00001"})


@pytest.mark.parametrize(
    ("headers", "body", "outcome"),
    [
        ([], BODY, (401, "missing-header")),
        ([(SIGNATURE, RIGHT)], BODY + b" ", (401, "signature-mismatch")),
        ([(SIGNATURE, RIGHT)], b"", (401, "signature-mismatch")),
        ([(SIGNATURE, RIGHT), (SIGNATURE, RIGHT)], BODY, (400, "duplicate-header")),
        ([(SIGNATURE, "x"), (SIGNATURE.swapcase(), RIGHT)], BODY, (400, "duplicate-header")),
        ([(SIGNATURE, f"{RIGHT}, {RIGHT}")], BODY, (400, "duplicate-header")),
        ([(SIGNATURE, "")], BODY, (400, "malformed-header")),
        ([(SIGNATURE, "é".encode())], BODY, (400, "malformed-header")),
        ([(SIGNATURE, b"\xff\xfe")], BODY, (400, "malformed-header")),
        ([("HTTP_X_FRAPPE_WEBHOOK_SIGNATURE", RIGHT)], BODY, (401, "missing-header")),
        ([("X_Frappe_Webhook_Signature", RIGHT)], BODY, (401, "missing-header")),
    ],
    ids=[
        *("unsigned", "changed", "empty", "doubled", "doubled in two spellings", "joined"),
        *("empty header", "UTF-8", "no text", "key of an environ", "underscores"),
    ],
)
def test_hostile(
    server: Server,
    headers: list[tuple[str, str | bytes]],
    body: bytes,
    outcome: tuple[int, str],
) -> None:
    """Any other is refused with its reason, and causes no error of the server."""
    answer = server.send("/orders", body, headers)

    assert answer.outcome == outcome
    assert answer.headers["www-authenticate"] == "Webhook-Signature"
    assert answer.json()["message"]
    assert "Traceback" not in server.log


@pytest.mark.parametrize("is_chunked", [False, True], ids=["announced", "chunked"])
def test_large(server: Server, is_chunked: bool) -> None:  # noqa: FBT001
    """The framework has the limit of the verifier; a body of just that size is accepted."""
    longest = json.dumps({"name": "x" * (LIMIT - 12)}).encode()
    assert len(longest) == LIMIT

    for body, status in ((longest, 200), (longest + b" ", 413)):
        headers = sign_payload(body, SECRET).headers
        chunks: Any = [body[:70_000], body[70_000:]]
        answer = server.send("/orders", chunks if is_chunked else body, headers)
        assert answer.status == status


def test_unsigned_body_is_not_awaited(server: Server) -> None:
    """A stranger is answered before the body has come."""
    request = b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"

    assert server.send_bytes(request).outcome == (401, "missing-header")


def test_broken_off(server: Server) -> None:
    """Who hangs up in the middle of a body reaches nothing, and harms no other request."""
    head = f"POST /orders HTTP/1.1\r\nHost: x\r\n{SIGNATURE}: {RIGHT}\r\n"
    for framing in (
        f"Content-Length: {len(BODY) + 1}\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n7",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(f"{head}{framing}".encode() + BODY)
            connection.shutdown(socket.SHUT_WR)
            assert not connection.recv(65_536).startswith(b"HTTP/1.1 2")

    assert server.send("/orders", BODY, {SIGNATURE: RIGHT}).status == 200


def test_concurrent(server: Server) -> None:
    """A hundred requests at a time, each answered for itself."""

    def status(number: int) -> int:
        signed = b"%d" % number if number % 3 else b""
        body = json.dumps({"name": str(number)}).encode()
        return server.send("/orders", body, sign_payload(body + signed, SECRET).headers).status

    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(status, range(100)))

    assert statuses == [401 if number % 3 else 200 for number in range(100)]


# The events of each service, as its page describes them:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
REST_API = {"resource": "/orders", "httpMethod": "POST", "requestContext": {"stage": "prod"}}
LOAD_BALANCER = {"httpMethod": "POST", "requestContext": {"elb": {"targetGroupArn": "arn:x"}}}


def first_format(body: Any, *pairs: tuple[str, str]) -> dict[str, Any]:
    """Return the event of a REST API: the last of equal headers, and all of them in lists."""
    several: dict[str, list[str]] = {}
    for name, value in (("Host", "x"), *pairs):
        several.setdefault(name, []).append(value)
    headers = {name: values[-1] for name, values in several.items()}
    return {**REST_API, "headers": headers, "multiValueHeaders": several, **body}


def second_format(body: Any, *pairs: tuple[str, str]) -> dict[str, Any]:
    """Return the event of an HTTP API or a function URL: equal headers joined."""
    several: dict[str, list[str]] = {}
    for name, value in (("host", "x"), *pairs):
        several.setdefault(name.lower(), []).append(value)
    headers = {name: ",".join(values) for name, values in several.items()}
    return {"version": "2.0", "routeKey": "POST /orders", "headers": headers, **body}


def by_load_balancer(body: Any, *pairs: tuple[str, str]) -> dict[str, Any]:
    """Return the event of a load balancer: the last of equal headers."""
    headers = {name.lower(): value for name, value in (("host", "x"), *pairs)}
    return {**LOAD_BALANCER, "headers": headers, **body}


def by_load_balancer_with_lists(body: Any, *pairs: tuple[str, str]) -> dict[str, Any]:
    """Return the event of a load balancer with multi-value headers."""
    several: dict[str, list[str]] = {}
    for name, value in (("host", "x"), *pairs):
        several.setdefault(name.lower(), []).append(value)
    return {**LOAD_BALANCER, "multiValueHeaders": several, **body}


EVENTS = {
    "REST API": first_format,
    "HTTP API": second_format,
    "load balancer": by_load_balancer,
    "load balancer with lists": by_load_balancer_with_lists,
}


@pytest.fixture(scope="module")
def handler() -> Callable[[Any, Any], dict[str, Any]]:
    """The function of the recipe."""
    names: dict[str, Any] = {}
    exec(compile(recipe("AWS Lambda"), "recipe", "exec"), names)
    found: Callable[[Any, Any], dict[str, Any]] = names["handler"]
    return found


def as_text(body: bytes) -> dict[str, Any]:
    return {"body": body.decode("utf-8", "replace"), "isBase64Encoded": False}


def as_base64(body: bytes) -> dict[str, Any]:
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
class TestLambda:
    """The function, with the events of each service."""

    @pytest.mark.parametrize("encoded", [as_text, as_base64])
    def test_genuine(self, handler: Any, event: Any, encoded: Any) -> None:
        """A signed request is accepted, however its body is passed."""
        answer = handler(event(encoded(BODY), (SIGNATURE, RIGHT)), None)

        assert answer["statusCode"] == 200
        assert json.loads(answer["body"]) == {"received": "SO-00001"}

    @pytest.mark.parametrize(
        ("pairs", "body", "outcome"),
        [
            ([], as_text(BODY), (401, "missing-header")),
            ([(SIGNATURE, RIGHT)], as_text(BODY + b" "), (401, "signature-mismatch")),
            ([(SIGNATURE, RIGHT)], as_base64(BODY[1:]), (401, "signature-mismatch")),
            ([(SIGNATURE, RIGHT)], as_text(b"\xff" + BODY), (401, "signature-mismatch")),
            ([(SIGNATURE, RIGHT)], {"body": "\ud800"}, (401, "signature-mismatch")),
            ([(SIGNATURE, RIGHT)], {"body": None}, (401, "signature-mismatch")),
            ([(SIGNATURE, "é")], as_text(BODY), (400, "malformed-header")),
            ([("HTTP_X_FRAPPE_WEBHOOK_SIGNATURE", RIGHT)], {"body": ""}, (401, "missing-header")),
            ([("headers", "x"), ("asgi", "x")], as_text(BODY), (401, "missing-header")),
        ],
        ids=[
            *("unsigned", "changed", "cut", "no UTF-8", "no Unicode", "no body", "no ASCII"),
            *("key of an environ", "names of others"),
        ],
    )
    def test_hostile(
        self, handler: Any, event: Any, pairs: Any, body: Any, outcome: tuple[int, str]
    ) -> None:
        """Any other is refused with its reason, in the form that the service takes."""
        given = event(body, *pairs)
        answer = handler(given, None)

        assert (answer["statusCode"], json.loads(answer["body"])["reason"]) == outcome
        one, many = answer.get("headers", {}), answer.get("multiValueHeaders", {})
        assert ("multiValueHeaders" in given) == bool(many) != bool(one)
        shown = one or {name: value for name, (value,) in many.items()}
        assert shown["WWW-Authenticate"] == "Webhook-Signature"

    def test_doubled(self, handler: Any, event: Any) -> None:
        """A doubled signature is refused by all but a load balancer that shows only the last."""
        pairs = [(SIGNATURE, RIGHT), (SIGNATURE, RIGHT)]
        answer = handler(event(as_text(BODY), *pairs), None)

        assert answer["statusCode"] == {by_load_balancer: 200}.get(event, 400)

    def test_no_headers(self, handler: Any, event: Any) -> None:
        """The console's test events have none."""
        given = event(as_text(BODY)) | {"headers": None, "multiValueHeaders": None}

        assert handler(given, None)["statusCode"] == 401
