"""A receiver that is of no framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from frappe_hooksig.integrations._framework import Admission, Framework
from frappe_hooksig.integrations._receiver import Receiver
from frappe_hooksig.integrations._responses import WebhookResponse
from frappe_hooksig.replay._callers import BLOCKING
from frappe_hooksig.replay._steps import run


@dataclass
class Incoming:
    """A request: what a sender sent, and what is known of it besides."""

    headers: Any
    body: bytes = b""
    who: object = None
    method: str = "POST"
    target: tuple[str, str] = ("https", "/")
    limits: list[int] = field(default_factory=list)


class Plain(Framework):
    """Takes requests as they are, and answers with what the flow says."""

    def __init__(self, setting: Callable[[], Any] | None) -> None:
        self.setting = setting

    def headers_of(self, request: Incoming) -> Any:
        return request.headers

    def target_of(self, request: Incoming) -> tuple[str, str]:
        return request.target

    def read_body(self, request: Incoming, limit: int) -> bytes:
        request.limits.append(limit)
        return request.body

    def keep(self, request: Incoming, admission: Admission) -> None:
        request.who = admission

    def endpoint_of(self, request: Incoming, view: Any) -> str:  # noqa: ARG002
        return str(view)

    def respond(self, response: WebhookResponse) -> WebhookResponse:
        return response

    def outcome_of(self, result: int) -> tuple[int, int]:
        return result, int(result)


def make_receiver(
    senders: Any, setting: Callable[[], Any] | None = None, **options: Any
) -> Receiver:
    """Return the receiver of a route."""
    return Receiver(Plain(setting), senders, **options)


def receive(receiver: Receiver, signed: Any, **known: Any) -> Any:
    """Run a signed payload, or a request, through a receiver; return the delivery."""
    incoming = Incoming(signed.headers, signed.body, **known)
    return run(receiver.verify(BLOCKING, incoming, "view")).delivery
