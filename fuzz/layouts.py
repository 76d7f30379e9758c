"""The schemes under test: every provider, and layouts that data can say but no provider has yet."""

from __future__ import annotations

from typing import Final

from frappe_hooksig import Scheme, providers

OTHERS: Final = (
    Scheme(
        name="time-behind",
        signature_header="X-Signed",
        timestamp_header="X-Time",
        timestamp_format="unix-ms",
        signed="{body}{timestamp}",
        encoding="base64",
        digest="sha512",
    ),
    Scheme(
        name="time-before-id",
        signature_header="X-Signed",
        timestamp_prefix="ts=",
        id_header="X-Id",
        signed="{timestamp}:{id}:{body}",
        prefix="h1=",
        separator=";",
        encoding="hex",
        digest="sha1",
    ),
    Scheme(
        name="numbered-headers",
        signature_header=("X-Signed-1", "X-Signed-2", "X-Signed-3"),
        encoding="base64",
    ),
    Scheme(
        name="two-headers-rfc3339",
        signature_header=("X-First-Signed", "X-Second-Signed"),
        timestamp_header="X-Time",
        timestamp_format="rfc3339",
        signed="{body}{timestamp}",
        encoding="base64",
        tolerance=600,
    ),
    Scheme(
        name="numbered-headers-timed",
        signature_header=("X-Signed-1", "X-Signed-2"),
        timestamp_header="X-Time",
        signed="{timestamp}.{body}",
        prefix="v1=",
        encoding="hex",
    ),
    Scheme(
        name="id-touches-time",
        signature_header="X-Signed",
        timestamp_header="X-Time",
        timestamp_format="rfc3339",
        id_header="X-Id",
        signed="{id}{timestamp}{body}",
        prefix="sha256=",
        encoding="hex",
    ),
    Scheme(
        name="entries",
        signature_header="X-Signed",
        prefix="v1=",
        separator=",",
        encoding="hex",
    ),
    Scheme(
        name="method-and-url",
        signature_header="X-Signed",
        timestamp_header="X-Time",
        timestamp_format="unix-ms",
        signed="{method}{url}{body}{timestamp}",
        encoding="base64",
    ),
    Scheme(
        name="url-behind",
        signature_header="X-Signed",
        signed="{body}{url}",
        encoding="base64",
        digest="sha1",
    ),
    Scheme(
        name="lines",
        signature_header="X-Signed",
        timestamp_header="X-Time",
        id_header="X-Id",
        signed="v1\n{method}\n{url}\n{timestamp}\n{id}\n{body}\n",
        prefix="v1,",
        separator=" ",
        encoding="base64",
        digest="sha512",
        secret_format="base64",
    ),
    Scheme(
        name="id-behind",
        signature_header="X-Signed",
        timestamp_header="X-Time",
        id_header="X-Id",
        signed="{body}.{timestamp}.{id}",
        prefix="sha1=",
        encoding="hex",
        digest="sha1",
        secret_format="hex",
    ),
)

SCHEMES: Final = (*(providers.get(name) for name in providers.names()), *OTHERS)
