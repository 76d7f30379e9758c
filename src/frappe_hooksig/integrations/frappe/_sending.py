"""Sending a signed webhook in a background job, for `doc_events` in hooks.py."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

import frappe
import requests

from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig._payload import Payload, new_id, serialised
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations.frappe._site_secrets import (
    InPasswordFields,
    InSiteConfig,
    SecretReference,
)
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.sign import Signer

# Frappe's own sender waits 5 s. Each of six attempts may take that to connect and that to answer.
_TIMEOUT = 5
_DELAYS = (1, 2, 3, 4, 5)
_JOB_TIMEOUT = 120

# What may go well another time.
_TRY_AGAIN = {408, 425, 429, *range(500, 600)}


def enqueue_webhook(
    url: str,
    payload: Payload,
    secret: SecretReference,
    *,
    scheme: Scheme = FRAPPE,
    queue: str = "short",
) -> None:
    """Send a signed webhook in the background, once the current transaction is committed.

    For `doc_events` in hooks.py. The payload is serialised now; the secret is looked up, and a
    time signed, when the job runs. If the receiver cannot be reached, or answers with a status
    that may pass, the job tries up to five times more, with the same body and id.

    Args:
        url: Where to.
        payload: As for `frappe_hooksig.sign_payload()`.
        secret: From `site_config()` or `password()`: the job, in Redis, holds no secret.
        scheme: How the receiver expects the signature.
        queue: The name of Frappe's queue.

    Raises:
        PayloadError: The payload cannot be turned into bytes.
        ConfigurationError: The secret is not a reference, or the URL is none of HTTP.
    """
    if not isinstance(secret, InSiteConfig | InPasswordFields):
        msg = "secret= has to be site_config(...) or password(...): a job must not hold a secret"
        raise ConfigurationError(msg)
    _require_http(url)
    body, headers = serialised(payload)
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
    """Sign and send one webhook: the job that `enqueue_webhook()` makes.

    It tries again by itself: a job that Frappe starts anew for `RetryBackgroundJobError` counts as
    failed even if it goes well then.

    Args:
        url: Where to.
        body: What to sign and send.
        headers: Those that are sent beside the signature's.
        secret: A reference to the secret.
        scheme: The fields of the scheme by which the receiver expects the signature.
        delivery_id: The delivery's id, if the scheme signs one.

    Raises:
        RuntimeError: The receiver refused it, or was not there at any attempt.
        ConfigurationError: There is no usable secret.
    """
    delays = list(_DELAYS)
    while True:
        signer = Signer(secret(), scheme=Scheme(**scheme))
        signed = signer.sign(body, id=delivery_id, method="POST", url=url)
        problem, may_pass = _post(url, signed.body, headers | signed.headers)
        if not problem:
            return
        if not (may_pass and delays):
            # A URL may hold a token: the host will do.
            msg = f"webhook to {urlsplit(url).hostname}: {problem}"
            raise RuntimeError(msg)
        frappe.db.rollback()  # so that a secret that was changed meanwhile is seen
        time.sleep(delays.pop(0))


def _post(url: str, body: bytes, headers: dict[str, str]) -> tuple[str, bool]:
    """Return what went wrong, if anything did, and whether it may go well another time."""
    try:
        with requests.post(
            url,
            data=body,
            headers=headers,
            timeout=_TIMEOUT,
            allow_redirects=False,  # the body would be lost on the way
            auth=lambda request: (
                request
            ),  # none from ~/.netrc: Frappe refuses what it does not know
            stream=True,  # what is answered is not read
        ) as answer:
            status = answer.status_code
    except requests.RequestException as error:
        passing = (requests.ConnectionError, requests.Timeout)
        may_pass = isinstance(error, passing) and not isinstance(
            error, requests.exceptions.SSLError
        )
        return type(error).__name__, may_pass
    return "" if status in range(200, 300) else f"HTTP {status}", status in _TRY_AGAIN


def _readable(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _require_http(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_http = parts.scheme in {"http", "https"} and parts.hostname
    except ValueError:
        is_http = None
    if not is_http:
        msg = "url= has to begin with http:// or https:// and a host"
        raise ConfigurationError(msg)
