"""Sends a signed webhook in a background job, for `doc_events` in hooks.py."""

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

# In seconds, as in Frappe's own sender. Each of six attempts may wait this long for the connection,
# and again for the response. With its delays, the job takes up to 75 s.
_TIMEOUT = 5
_DELAYS = (1, 2, 3, 4, 5)
_JOB_TIMEOUT = 120

# Statuses after which another attempt may succeed.
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

    Call it from `doc_events` in hooks.py. It serialises the payload at once. For each attempt, the
    job looks up the secret and signs; a signed timestamp is the time of the attempt. If the
    receiver cannot be reached, or responds with a temporary error, the job tries up to five more
    times. All attempts have the same body and id.

    Args:
        url: The URL of the receiver.
        payload: As for `frappe_hooksig.sign_payload()`.
        secret: A reference from `site_config()` or `password()`: Redis stores the job, and the job
            must not contain a secret.
        scheme: The scheme of the receiver.
        queue: The name of Frappe's queue.

    Raises:
        PayloadError: The payload cannot be serialised.
        ConfigurationError: The secret is not a reference, or the URL is not an HTTP URL.
    """
    if not isinstance(secret, InSiteConfig | InPasswordFields):
        msg = "secret= must be site_config(...) or password(...): a job must not contain a secret"
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
        RuntimeError: The receiver refused the webhook, or every attempt failed.
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
            # Name the host only: a URL may contain a token.
            msg = f"webhook to {urlsplit(url).hostname} failed: {problem}"
            raise RuntimeError(msg)
        frappe.db.rollback()  # a new transaction sees a secret that was changed meanwhile
        time.sleep(delays.pop(0))


def _post(url: str, body: bytes, headers: dict[str, str]) -> tuple[str, bool]:
    """Send one request; return the problem or "", and whether another attempt may succeed."""
    try:
        with requests.post(
            url,
            data=body,
            headers=headers,
            timeout=_TIMEOUT,
            allow_redirects=False,  # a redirect may lose the body
            # Send no Authorization from ~/.netrc: Frappe refuses credentials that it does not know.
            auth=lambda request: request,
            stream=True,  # do not read the body of the response
        ) as response:
            status = response.status_code
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
        msg = "url= must start with http:// or https:// and a host"
        raise ConfigurationError(msg)
