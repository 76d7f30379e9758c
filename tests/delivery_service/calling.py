"""Callers of the API, and whether what they are answered is as the API says of itself."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.loopback import Answer, send_to

_T = TypeVar("_T")

PROBLEM = "application/problem+json"


class Documented:
    """What the API says of itself, and whether its answers are as it says."""

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description
        self._paths = [
            (re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), path)
            for path in sorted(description["paths"], key=lambda each: each.count("{"))
        ]

    def check(self, method: str, path: str, answer: Answer) -> None:
        """Refuse an answer that nobody could have expected."""
        kind = answer.headers.get("content-type", "")
        template = self._template(path.partition("?")[0])
        operation = self.description["paths"].get(template, {}).get(method.lower())
        if operation is None:
            assert (answer.status in {404, 405}, kind) == (True, PROBLEM)
            return
        responses = operation["responses"]
        assert str(answer.status) in responses, (method, template, answer)
        content = responses[str(answer.status)].get("content", {"": {}})
        assert kind in content, (method, template, answer)

    def _template(self, path: str) -> str:
        return next((each for form, each in self._paths if form.fullmatch(path)), path)


@dataclass(frozen=True)
class Caller:
    """Somebody with an API key.

    Attributes:
        tenant: Whose key it is.
        port: Where the service listens.
        key: The key; empty for none.
        documented: What answers are compared with.
    """

    tenant: str
    port: int
    key: str
    documented: Documented

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        raw: bytes | list[bytes] = b"",
    ) -> Answer:
        """Send a request, and return what is answered.

        Args:
            method: The method.
            path: The path after `/v1`, with the query.
            body: What is sent as JSON, unless it is None.
            headers: More headers.
            raw: The body, if it is not `body`; in pieces, it is sent chunked.
        """
        sent = raw if body is None else json.dumps(body).encode()
        own = {"Content-Type": "application/json"} if sent else {}
        if self.key:
            own["Authorization"] = f"Bearer {self.key}"
        answer = send_to(self.port, f"/v1{path}", sent, {**own, **(headers or {})}, method=method)
        self.documented.check(method, f"/v1{path}", answer)
        return answer

    def must(self, method: str, path: str, body: object = None, *, status: int = 200) -> Any:
        """Send a request that is answered as wished, and return the parsed answer."""
        answer = self.call(method, path, body)
        assert answer.status == status, (method, path, answer)
        return answer.json() if answer.body else None

    def problem(
        self, method: str, path: str, body: object = None, **options: Any
    ) -> tuple[int, str]:
        """Send a request that is refused, and return the status and the code."""
        return problem_in(self.call(method, path, body, **options))

    def add(self, url: str, **options: Any) -> dict[str, Any]:
        """Add an endpoint."""
        added: dict[str, Any] = self.must("POST", "/endpoints", {"url": url, **options}, status=201)
        return added

    def publish(self, payload: object, event_type: str = "invoice.paid", **options: Any) -> str:
        """Publish a message, and return its id."""
        body = {"event_type": event_type, "payload": payload, **options}
        published: dict[str, str] = self.must("POST", "/messages", body, status=202)
        return published["id"]

    def delivery(self, message_id: str, state: str, count: int = 1) -> dict[str, Any]:
        """Return the newest delivery of a message, once so many are in a state."""
        path = f"/deliveries?message_id={message_id}&state={state}"
        items: list[dict[str, Any]] = until(
            lambda: self.must("GET", path)["items"], lambda found: len(found) == count
        )
        return items[0]


def problem_in(answer: Answer) -> tuple[int, str]:
    """Return the status and the code of a refusal, which has the one form."""
    assert answer.headers["content-type"] == PROBLEM, answer
    assert answer.headers["x-content-type-options"] == "nosniff"
    body = answer.json()
    assert body["status"] == answer.status
    assert {"status", "code", "title", "detail"} <= body.keys()
    return answer.status, body["code"]


def until(look: Callable[[], _T], is_right: Callable[[_T], bool], seconds: float = 30) -> _T:
    """Look again until something is as it should be."""
    deadline = time.monotonic() + seconds
    while not is_right(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found
