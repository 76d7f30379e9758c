"""Sending a signed webhook in a background job, for `doc_events` in hooks.py."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

import frappe
import requests

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations.frappe.site_secrets import SecretReference
from frappe_hooksig.providers import FRAPPE
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.sign import Payload, Signer, new_id, serialised

# Frappe's own sender waits 5 s. Each of six attempts may take that to connect and that to answer,
# and Frappe sleeps 15 s between them.
_TIMEOUT = 5
_JOB_TIMEOUT = 120

# What may go well another time; Frappe tries a job again for that.
_TRY_AGAIN = {408, 425, 429}


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
    that may pass, Frappe runs the job up to five times more, with the same body and id.

    Args:
        url: Where to.
        payload: As for `frappe_hooksig.sign_payload()`.
        secret: From `site_config()` or `password()`: the job, in Redis, holds no secret.
        scheme: How the receiver expects the signature.
        queue: The name of Frappe's queue.

    Raises:
        PayloadError: The payload cannot be turned into bytes.
        ConfigurationError: The secret is not a reference.
    """
    if not isinstance(secret, partial):
        msg = "secret= has to be site_config(...) or password(...): a job must not hold a secret"
        raise ConfigurationError(msg)
    body, headers = serialised(payload)
    frappe.enqueue(
        send_webhook,
        queue=queue,
        timeout=_JOB_TIMEOUT,
        enqueue_after_commit=True,
        url=url,
        body=body,
        headers=headers,
        secret=secret,
        scheme=scheme,
        delivery_id=None if scheme.id_header is None else new_id(),
    )


def send_webhook(
    *,
    url: str,
    body: bytes,
    headers: dict[str, str],
    secret: SecretReference,
    scheme: Scheme,
    delivery_id: str | None,
) -> None:
    """Sign and send one webhook: the job that `enqueue_webhook()` makes.

    Args:
        url: Where to.
        body: The bytes to sign and send.
        headers: Those that are sent beside the signature's.
        secret: A reference to the secret.
        scheme: How the receiver expects the signature.
        delivery_id: The delivery's id, if the scheme signs one.

    Raises:
        frappe.RetryBackgroundJobError: It may go well another time; Frappe waits and tries again.
        RuntimeError: The receiver refused it.
        ConfigurationError: There is no usable secret.
    """
    signed = Signer(secret(None), scheme=scheme).sign(body, id=delivery_id, method="POST", url=url)
    # A URL may hold a token, and Frappe logs what is raised here.
    target = f"webhook to {urlsplit(url).hostname}"
    try:
        with requests.post(
            url,
            data=signed.body,
            headers=headers | signed.headers,
            timeout=_TIMEOUT,
            allow_redirects=False,  # the body would be lost on the way
            stream=True,  # what is answered is not read
        ) as answer:
            status = answer.status_code
    except requests.RequestException as error:
        msg = f"{target}: {type(error).__name__}"
        raise frappe.RetryBackgroundJobError(msg) from None
    if status in range(200, 300):
        return
    msg = f"{target}: HTTP {status}"
    if status >= 500 or status in _TRY_AGAIN:  # noqa: PLR2004
        raise frappe.RetryBackgroundJobError(msg)
    raise RuntimeError(msg)
