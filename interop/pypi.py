"""The libraries from PyPI, each called as its documentation shows.

They are imported by name: type checkers see nothing of them, and need not have them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from importlib import import_module
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any, TypeAlias

from frappe_hooksig._timestamp import spell_time
from interop.bodies import Kind
from interop.library import ACCEPTS, REFUSES, Facts, Library, Verdict
from interop.requests import METHOD, Message, Request

# True or anything but False: accepted. False, or one of its own errors: refused.
_Verify: TypeAlias = Callable[[Request], object]
_Sign: TypeAlias = Callable[[Message], str]
# What a library is called through: its verify, its sign if it has one, and its own errors.
_Calls: TypeAlias = tuple[_Verify, _Sign | None, tuple[type[Exception], ...]]

# What a library of text does not take.
_NO_TEXT: frozenset[Kind] = frozenset({"not UTF-8"})


def _facts(package: str, provider: str, call: str, **others: Any) -> Facts:
    return Facts(registry="PyPI", package=package, provider=provider, call=call, **others)


def _adyen() -> _Calls:
    util: Any = import_module("Adyen.util")

    def verify(request: Request) -> object:
        signature = request.headers["HmacSignature"]
        return util.is_valid_hmac_payload(signature, request.secret, request.body)

    def sign(message: Message) -> str:
        signature: bytes = util.generate_payload_sig(message.body, message.secret)
        return signature.decode()

    return verify, sign, ()


def _box() -> _Calls:
    webhooks: Any = import_module("box_sdk_gen.managers.webhooks").WebhooksManager
    compute: Any = import_module("box_sdk_gen.internal.utils").compute_webhook_signature
    # It looks its headers up in lower case, and wants these two, which are not signed.
    beside = {"box-signature-version": "1", "box-signature-algorithm": "HmacSHA256"}

    def verify(request: Request) -> object:
        headers = beside | {name.lower(): value for name, value in request.headers.items()}
        return webhooks.validate_message(request.body.decode(), headers, request.secret)

    def sign(message: Message) -> str:
        headers = {**beside, "box-delivery-timestamp": spell_time(message.time, "rfc3339")}
        signature: str = compute(message.body.decode(), headers, message.secret)
        return signature

    return verify, sign, ()


def _cashfree() -> _Calls:
    module: Any = import_module("cashfree_pg.api_client")

    def verify(request: Request) -> object:
        client = module.Cashfree(module.CFEnvironment.SANDBOX, "id", request.secret)
        try:
            return client.PGVerifyWebhookSignature(
                request.headers["x-webhook-signature"],
                request.body.decode(),
                request.headers["x-webhook-timestamp"],
            )
        except Exception as error:
            if type(error) is Exception:  # its refusal is a bare one
                return False
            raise

    return verify, None, ()


def _coinbase_commerce() -> _Calls:
    signature: Any = import_module("coinbase_commerce.webhook").WebhookSignature
    refusal: Any = import_module("coinbase_commerce.error").SignatureVerificationError

    def verify(request: Request) -> object:
        header = request.headers["X-CC-Webhook-Signature"]
        return signature.verify_sig_header(request.body.decode(), header, request.secret)

    return verify, None, (refusal,)


def _gidgethub(header: str) -> Callable[[], _Calls]:
    def calls() -> _Calls:
        package: Any = import_module("gidgethub")
        sansio: Any = import_module("gidgethub.sansio")

        def verify(request: Request) -> None:
            signature = request.headers[header]
            sansio.validate_event(request.body, signature=signature, secret=request.secret)

        return verify, None, (package.ValidationFailure,)

    return calls


def _gocardless() -> _Calls:
    webhooks: Any = import_module("gocardless_pro.webhooks")
    refusal: Any = import_module("gocardless_pro.errors").InvalidSignatureError

    def verify(request: Request) -> None:
        webhooks.parse(request.body, request.secret, request.headers["Webhook-Signature"])

    return verify, None, (refusal,)


def _hubspot(version: str) -> Callable[[], _Calls]:
    def calls() -> _Calls:
        signature: Any = import_module("hubspot.utils.signature").Signature
        refusal: Any = import_module("hubspot.exceptions").InvalidSignatureTimestampError
        header = "X-HubSpot-Signature-V3" if version == "v3" else "X-HubSpot-Signature"

        def verify(request: Request) -> object:
            return signature.is_valid(
                request.headers[header],
                request.secret,
                request.body.decode(),
                request.url,
                METHOD,
                version,
                request.headers.get("X-HubSpot-Request-Timestamp"),
            )

        def sign(message: Message) -> str:
            time = spell_time(message.time, "unix-ms")
            text: str = signature.get_signature(
                message.secret, message.body.decode(), version, message.url, METHOD, time
            )
            return text

        return verify, sign, (refusal,)

    return calls


def _inngest() -> _Calls:
    # What its servers call; there is no public way to it.
    net: Any = import_module("inngest._internal.net")
    cloud: Any = import_module("inngest._internal.server_lib").ServerKind.CLOUD

    def verify(request: Request) -> object:
        headers = {name.lower(): value for name, value in request.headers.items()}
        said = net.validate_request_sig(
            body=request.body,
            headers=headers,
            mode=cloud,
            signing_key=request.secret,
            signing_key_fallback=None,
        )
        return not isinstance(said, Exception)  # it returns its refusals

    def sign(message: Message) -> str:
        text: str = net.sign_request(message.body, message.secret, message.time)
        return text

    return verify, sign, ()


def _line() -> _Calls:
    validator: Any = import_module("linebot.v3.webhook").SignatureValidator

    def verify(request: Request) -> object:
        signature = request.headers["x-line-signature"]
        return validator(request.secret).validate(request.body.decode(), signature)

    return verify, None, ()


def _paddle() -> _Calls:
    notifications: Any = import_module("paddle_billing.Notifications")
    logging.getLogger("paddle_billing").setLevel(logging.CRITICAL + 1)
    verifier = notifications.Verifier()

    def verify(request: Request) -> object:
        incoming = SimpleNamespace(body=request.body, headers=request.headers)
        return verifier.verify(incoming, notifications.Secret(request.secret))

    return verify, None, (ConnectionRefusedError,)


def _polar() -> _Calls:
    webhooks: Any = import_module("polar.webhooks")

    def verify(request: Request) -> None:
        # What the function of each version of its API calls with the events of that version.
        webhooks.validate_event(
            request.body, request.headers, request.secret, frozenset({"interop"}), dict
        )

    return verify, None, (webhooks.PolarWebhookError,)


def _pypaystack2() -> _Calls:
    client: Any = import_module("pypaystack2").PaystackClient

    def verify(request: Request) -> object:
        signature = request.headers["X-Paystack-Signature"]
        return client(request.secret).is_verified_webhook_payload(request.body, signature)

    return verify, None, ()


def _pywa() -> _Calls:
    utils: Any = import_module("pywa.utils")

    def verify(request: Request) -> object:
        return utils.webhook_updates_validator(
            app_secret=request.secret,
            request_body=request.body,
            x_hub_signature=request.headers["X-Hub-Signature-256"],
        )

    return verify, None, ()


def _razorpay() -> _Calls:
    package: Any = import_module("razorpay")
    client = package.Client(auth=("id", "key"))

    def verify(request: Request) -> object:
        signature = request.headers["X-Razorpay-Signature"]
        return client.utility.verify_webhook_signature(
            request.body.decode(), signature, request.secret
        )

    return verify, None, (package.errors.SignatureVerificationError,)


def _slack() -> _Calls:
    signature: Any = import_module("slack_sdk.signature")

    def verify(request: Request) -> object:
        verifier = signature.SignatureVerifier(request.secret)
        return verifier.is_valid_request(request.body, request.headers)

    def sign(message: Message) -> str:
        verifier = signature.SignatureVerifier(message.secret)
        time = spell_time(message.time, "unix")
        text: str = verifier.generate_signature(timestamp=time, body=message.body)
        return text

    return verify, sign, ()


def _square() -> _Calls:
    helper: Any = import_module("square.utils.webhooks_helper")

    def verify(request: Request) -> object:
        return helper.verify_signature(
            request_body=request.body.decode(),
            signature_header=request.headers["x-square-hmacsha256-signature"],
            signature_key=request.secret,
            notification_url=request.url,
        )

    return verify, None, ()


def _standard_webhooks(module: str, **options: Any) -> Callable[[], _Calls]:
    def calls() -> _Calls:
        webhooks: Any = import_module(module)

        def verify(request: Request) -> object:
            return webhooks.Webhook(request.secret).verify(request.body, request.headers, **options)

        def sign(message: Message) -> str:
            moment = datetime.fromtimestamp(message.time, timezone.utc)
            webhook = webhooks.Webhook(message.secret)
            text: str = webhook.sign(message.id, moment, message.body.decode())
            return text

        return verify, sign, (webhooks.WebhookVerificationError,)

    return calls


def _stream_chat() -> _Calls:
    verify_signature: Any = import_module("stream_chat.webhook").verify_signature

    def verify(request: Request) -> object:
        return verify_signature(request.body, request.headers["X-Signature"], request.secret)

    return verify, None, ()


def _stripe() -> _Calls:
    package: Any = import_module("stripe")

    def verify(request: Request) -> object:
        return package.WebhookSignature.verify_header(
            request.body,
            request.headers["Stripe-Signature"],
            request.secret,
            package.Webhook.DEFAULT_TOLERANCE,
        )

    def sign(message: Message) -> str:
        text: str = package.WebhookSignature.generate_signature_header(
            message.body.decode(), message.secret, message.time
        )
        return text

    return verify, sign, (package.SignatureVerificationError,)


def _twitch() -> _Calls:
    webhook: Any = import_module("twitchAPI.eventsub.webhook").EventSubWebhook
    loop = asyncio.new_event_loop()

    def verify(request: Request) -> object:
        # What its server calls with aiohttp's request; there is no public way to it.
        async def text() -> str:
            return request.body.decode()

        receiver = SimpleNamespace(secret=request.secret)
        incoming = SimpleNamespace(headers=request.headers, text=text)
        return loop.run_until_complete(webhook._verify_signature(receiver, incoming))  # noqa: SLF001

    return verify, None, ()


def _workos() -> _Calls:
    verify_header: Any = import_module("workos.webhooks._verification").verify_header

    def verify(request: Request) -> None:
        # It wants the space that WorkOS sends behind the comma.
        header = request.headers["WorkOS-Signature"].replace(",v1=", ", v1=")
        verify_header(event_body=request.body, event_signature=header, secret=request.secret)

    return verify, None, (ValueError,)


_LIBRARIES: tuple[tuple[Facts, Callable[[], _Calls]], ...] = (
    (
        _facts(
            "adyen",
            "adyen",
            "util.is_valid_hmac_payload()",
            signs_with="util.generate_payload_sig()",
        ),
        _adyen,
    ),
    (
        _facts(
            "boxsdk",
            "box",
            "WebhooksManager.validate_message()",
            signs_with="compute_webhook_signature()",
            cannot_sign=_NO_TEXT,
            cannot_verify=_NO_TEXT,
        ),
        _box,
    ),
    (
        _facts(
            "cashfree-pg",
            "cashfree",
            "Cashfree.PGVerifyWebhookSignature()",
            ignores_age=True,
            envelope={"type": "interop"},
        ),
        _cashfree,
    ),
    (
        _facts(
            "coinbase-commerce",
            "coinbase-commerce",
            "WebhookSignature.verify_sig_header()",
            cannot_verify=_NO_TEXT,
        ),
        _coinbase_commerce,
    ),
    (
        _facts("gidgethub", "github", "sansio.validate_event()"),
        _gidgethub("X-Hub-Signature-256"),
    ),
    (
        _facts("gidgethub", "github-sha1", "sansio.validate_event()"),
        _gidgethub("X-Hub-Signature"),
    ),
    (
        _facts("gocardless-pro", "gocardless", "webhooks.parse()", envelope={"events": []}),
        _gocardless,
    ),
    (
        _facts(
            "hubspot-api-client",
            "hubspot-v1",
            "Signature.is_valid()",
            signs_with="Signature.get_signature()",
            cannot_sign=_NO_TEXT,
            cannot_verify=_NO_TEXT,
        ),
        _hubspot("v1"),
    ),
    (
        _facts(
            "hubspot-api-client",
            "hubspot-v2",
            "Signature.is_valid()",
            signs_with="Signature.get_signature()",
            cannot_sign=_NO_TEXT,
            cannot_verify=_NO_TEXT,
        ),
        _hubspot("v2"),
    ),
    (
        _facts(
            "hubspot-api-client",
            "hubspot-v3",
            "Signature.is_valid()",
            signs_with="Signature.get_signature()",
            cannot_sign=_NO_TEXT,
            cannot_verify=_NO_TEXT,
        ),
        _hubspot("v3"),
    ),
    (
        _facts(
            "inngest",
            "inngest",
            "net.validate_request_sig()",
            signs_with="net.sign_request()",
            ignores_age=True,
            envelope={"event": "interop"},
        ),
        _inngest,
    ),
    (
        _facts("line-bot-sdk", "line", "SignatureValidator.validate()", cannot_verify=_NO_TEXT),
        _line,
    ),
    (
        _facts("paddle-python-sdk", "paddle", "Verifier.verify()", cannot_verify=_NO_TEXT),
        _paddle,
    ),
    (
        _facts(
            "polar-sdk",
            "polar",
            "webhooks.validate_event()",
            envelope={"type": "interop"},
        ),
        _polar,
    ),
    (
        _facts("pypaystack2", "paystack", "PaystackClient.is_verified_webhook_payload()"),
        _pypaystack2,
    ),
    (_facts("pywa", "meta", "utils.webhook_updates_validator()"), _pywa),
    (
        _facts(
            "razorpay", "razorpay", "utility.verify_webhook_signature()", cannot_verify=_NO_TEXT
        ),
        _razorpay,
    ),
    (
        _facts(
            "slack-sdk",
            "slack",
            "SignatureVerifier.is_valid_request()",
            signs_with="SignatureVerifier.generate_signature()",
            cannot_sign=_NO_TEXT,
            cannot_verify=_NO_TEXT,
        ),
        _slack,
    ),
    (
        _facts(
            "squareup",
            "square",
            "webhooks_helper.verify_signature()",
            cannot_verify=_NO_TEXT | {"empty"},
        ),
        _square,
    ),
    (
        _facts(
            "standardwebhooks",
            "standard-webhooks",
            "Webhook.verify()",
            signs_with="Webhook.sign()",
            cannot_sign=_NO_TEXT,
            cannot_verify=_NO_TEXT,
        ),
        _standard_webhooks("standardwebhooks.webhooks", json_parse=False),
    ),
    (
        _facts("stream-chat", "getstream", "webhook.verify_signature()"),
        _stream_chat,
    ),
    (
        _facts(
            "stripe",
            "stripe",
            "WebhookSignature.verify_header()",
            signs_with="WebhookSignature.generate_signature_header()",
            cannot_sign=_NO_TEXT,
            cannot_verify=_NO_TEXT,
        ),
        _stripe,
    ),
    (
        _facts(
            "svix",
            "svix",
            "Webhook.verify()",
            signs_with="Webhook.sign()",
            cannot_sign=_NO_TEXT,
            cannot_verify=_NO_TEXT,
        ),
        _standard_webhooks("svix.webhooks"),
    ),
    (
        _facts(
            "twitchapi",
            "twitch",
            "EventSubWebhook._verify_signature()",
            cannot_verify=_NO_TEXT,
            ignores_age=True,
        ),
        _twitch,
    ),
    (
        _facts("workos", "workos", "webhooks.verify_header()", cannot_verify=_NO_TEXT),
        _workos,
    ),
)

FACTS = tuple(facts for facts, _ in _LIBRARIES)


def libraries() -> Iterator[Library]:
    """Yield the libraries from PyPI; imports each of them.

    Raises:
        ImportError: One is not there.
    """
    for facts, load in _LIBRARIES:
        verify, sign, refusals = load()
        yield Library(
            facts=facts,
            version=version(facts.package),
            verify=_verdicts(verify, refusals),
            sign=None if sign is None else _signatures(sign),
        )


def _verdicts(
    verify: _Verify, refusals: tuple[type[Exception], ...]
) -> Callable[[Sequence[Request]], list[Verdict]]:
    def verdict(request: Request) -> Verdict:
        try:
            return REFUSES if verify(request) is False else ACCEPTS
        except refusals:
            return REFUSES
        except Exception as error:  # noqa: BLE001  # whatever it is, the vendor's code raised it
            kind = type(error)
            where = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
            return f"raises {where}{kind.__name__}"

    return lambda requests: [verdict(request) for request in requests]


def _signatures(sign: _Sign) -> Callable[[Sequence[Message]], list[str | None]]:
    def signature(message: Message) -> str | None:
        try:
            return sign(message)
        except UnicodeDecodeError:  # it takes text, and this is none
            return None

    return lambda messages: [signature(message) for message in messages]
