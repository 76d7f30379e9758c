"""Sends a signed webhook in a background job, for `doc_events` in hooks.py."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import frappe

from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig._payload import Payload, new_id, serialised
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations.frappe._site_secrets import (
    InPasswordFields,
    InSiteConfig,
    SecretReference,
)
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.sending._attempt import Attempt
from frappe_hooksig.sending._guard import AddressGuard
from frappe_hooksig.sending._networks import read_address
from frappe_hooksig.sending._schedule import QUICK
from frappe_hooksig.sending._sender import Sender
from frappe_hooksig.sending._target import Target

# The key in site_config.json or common_site_config.json with the hosts of one's own network that
# webhooks may be sent to.
_SETTING = "frappe_hooksig_allowed_hosts"
_REMEDY = f"If it is a host of your own, list it in {_SETTING} in site_config.json"

# In seconds. An attempt may take so long in total. With the delays of QUICK, a job takes up to
# 77 s.
_TIMEOUT = 15
_JOB_TIMEOUT = 120

# The last attempt begins so many seconds after the start of the job at the latest, so that it ends
# before the job has to. Retry-After cannot ask for more.
_WITHIN = _JOB_TIMEOUT - _TIMEOUT - 5


def enqueue_webhook(
    url: str,
    payload: Payload,
    secret: SecretReference,
    *,
    scheme: Scheme = FRAPPE,
    queue: str = "short",
) -> None:
    """Send a signed webhook in the background, once the current transaction is committed.

    Call it from `doc_events` in hooks.py. It serialises the payload at once. For each attempt, the
    job looks up the secret and signs; a signed timestamp is the time of the attempt. If the
    receiver cannot be reached, or does not accept it, the job tries up to three more times within
    15 seconds, or later if the receiver asks for it (Retry-After). After HTTP 410 it does not. All
    attempts have the same body and id.

    The URL must lead to a public address. Hosts of your own network have to be listed in the site's
    configuration, under `frappe_hooksig_allowed_hosts`: addresses, networks or host names.

    Args:
        url: The URL of the receiver.
        payload: As for `frappe_hooksig.sign_payload()`.
        secret: A reference from `site_config()` or `password()`: Redis stores the job, and the job
            must not contain a secret.
        scheme: The scheme of the receiver.
        queue: The name of Frappe's queue.

    Raises:
        PayloadError: The payload cannot be serialised.
        ConfigurationError: The secret is not a reference, the URL is not an HTTP URL, or it has an
            address that is not allowed.
    """
    if not isinstance(secret, InSiteConfig | InPasswordFields):
        msg = "secret= must be site_config(...) or password(...): a job must not contain a secret"
        raise ConfigurationError(msg)
    try:
        _check_host(_target(url).host)
        body, headers = serialised(payload)
    except Exception:
        del url, payload  # the Error Log shows the local variables of every frame
        raise
    # Frappe shows a job's arguments to administrators, as JSON.
    frappe.enqueue(
        send_webhook,
        queue=queue,
        timeout=_JOB_TIMEOUT,
        enqueue_after_commit=True,
        url=url,
        body=_readable(body),
        headers=headers,
        secret=secret,
        scheme={each.name: getattr(scheme, each.name) for each in fields(scheme) if each.init},
        delivery_id=None if scheme.id_header is None else new_id(),
    )


def send_webhook(
    *,
    url: str,
    body: str | bytes,
    headers: dict[str, str],
    secret: SecretReference,
    scheme: Mapping[str, Any],
    delivery_id: str | None,
) -> None:
    """Sign and send one webhook. `enqueue_webhook()` runs this function as a background job.

    It retries by itself, without `RetryBackgroundJobError`: a job that Frappe restarts for this
    error counts as failed even if it succeeds later.

    Args:
        url: The URL of the receiver.
        body: The body to sign and send.
        headers: The headers to send in addition to those of the signature.
        secret: A reference to the secret.
        scheme: The fields of the receiver's scheme.
        delivery_id: The delivery's id, if the scheme signs one.

    Raises:
        RuntimeError: The receiver did not accept the webhook, or its address is not allowed.
        ConfigurationError: There is no usable secret, or a wrong list of allowed hosts.
    """
    webhook = _Webhook(url, body, headers)
    del url, body, headers  # the Error Log shows the local variables of every frame
    host, guard = _target(webhook.url).host, _guard()
    receiver = Scheme(**scheme)

    def attempt() -> Attempt:
        # The secret is looked up each time, because it may be changed meanwhile.
        with Sender(
            secret(), scheme=receiver, headers=webhook.headers, guard=guard, timeout=_TIMEOUT
        ) as sender:
            return sender.send(webhook.url, webhook.body, id=delivery_id)

    last = QUICK.run(attempt, within=_WITHIN, sleep=_sleep)[-1]
    if not last.is_delivered:
        # Name the host only: a URL may contain a token.
        msg = f"webhook to {host} failed: {_problem(last)}"
        raise RuntimeError(f"{msg}. {_REMEDY}" if last.outcome == "blocked" else msg)


class _Webhook:
    """What is sent where, which no repr shows: the URL may contain a token."""

    __slots__ = ("body", "headers", "url")

    def __init__(self, url: str, body: str | bytes, headers: dict[str, str]) -> None:
        self.url = url
        self.body = body
        self.headers = headers

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def _problem(attempt: Attempt) -> str:
    """Return what went wrong, without any text of a receiver: the Error Log has many readers."""
    if attempt.status is not None and attempt.reason:
        return f"HTTP {attempt.status} {attempt.reason}"
    return attempt.message


def _sleep(seconds: float) -> None:
    frappe.db.rollback()  # a new transaction sees a secret that was changed meanwhile
    time.sleep(seconds)


def _guard() -> AddressGuard:
    """Return a guard that allows what the site's configuration lists.

    Raises:
        ConfigurationError: It is no list, or something in it is no address, network or host name.
    """
    allowed: Any = frappe.conf.get(_SETTING)
    try:
        return AddressGuard([] if allowed is None else allowed)
    except ConfigurationError as error:
        msg = f"{_SETTING} in site_config.json {str(error).removeprefix('allow= ')}"
        raise ConfigurationError(msg) from None


def _readable(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _check_host(host: str) -> None:
    """Refuse a host that cannot be sent to, before anything is committed.

    The addresses of a host name are not known yet: only the job looks them up.

    Raises:
        ConfigurationError: It is an address that is not allowed.
    """
    guard = _guard()
    address = "127.0.0.1" if host == "localhost" else host  # RFC 6761 section 6.3
    objection = guard.objection(address, host) if read_address(address) is not None else None
    if objection is not None:
        msg = f"url= has an address that is not allowed: {objection}. {_REMEDY}"
        raise ConfigurationError(msg)


def _target(url: str) -> Target:
    """Return the parts of a URL.

    Raises:
        ConfigurationError: It is no HTTP URL.
    """
    try:
        return Target.of(url)
    except ValueError as error:
        msg = f"url= must be an HTTP URL: {error}"
    del url  # the Error Log shows the local variables of every frame
    raise ConfigurationError(msg)
