"""Two mistakes at once are both named."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

from frappe_hooksig import providers
from tests.explain.mistakes import (
    COMPACT,
    FRAPPE_JSON,
    JAVASCRIPT,
    LINES,
    NOW,
    OTHER,
    PHP,
    PYTHON,
    SECRET,
    URL,
    Mistake,
    base64_of,
    frappe,
    hubspot,
    mac,
    standard,
    stripe,
)
from tests.explain.test_causes import explained

SIGNATURE = "X-Frappe-Webhook-Signature"
KEY = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

PAIRS: dict[str, tuple[set[str], Mistake]] = {
    "secret and body": (
        {"secret-whitespace", "body-line-end"},
        Mistake("", PYTHON + b"\n", frappe(PYTHON), f"{SECRET}\n"),
    ),
    "quotes and JSON": (
        {"secret-quotes", "body-reserialised"},
        Mistake("", PYTHON, frappe(FRAPPE_JSON), f'"{SECRET}"'),
    ),
    "two of the secret": (
        {"secret-quotes", "secret-whitespace"},
        Mistake("", PYTHON, frappe(PYTHON), f'"{SECRET}"\n'),
    ),
    "encoding and JSON": (
        {"signature-encoding", "body-reserialised"},
        Mistake("", PYTHON, {SIGNATURE: mac(COMPACT).hex()}),
    ),
    "prefix and encoding": (
        {"signature-prefix", "signature-encoding"},
        Mistake("", PYTHON, {SIGNATURE: f"sha256={mac(PYTHON).hex()}"}),
    ),
    "digest and encoding": (
        {"signature-digest", "signature-encoding"},
        Mistake("", PYTHON, {SIGNATURE: mac(PYTHON, SECRET, "sha1").hex()}),
    ),
    "digest and body": (
        {"signature-digest", "body-line-end"},
        Mistake("", PYTHON, {SIGNATURE: base64_of(mac(PYTHON + b"\n", SECRET, "sha512"))}),
    ),
    "truncated and secret": (
        {"signature-truncated", "secret-whitespace"},
        Mistake("", PYTHON, {SIGNATURE: base64_of(mac(PYTHON)[:20])}, f"{SECRET} "),
    ),
    "sender and body": (
        {"scheme-other", "body-reserialised"},
        Mistake("", PYTHON, stripe(JAVASCRIPT)),
    ),
    "sender and secret": (
        {"scheme-other", "secret-whitespace"},
        Mistake("", PYTHON, stripe(PYTHON), f"{SECRET}\n"),
    ),
    "sender and time": (
        {"scheme-other", "timestamp-out-of-tolerance"},
        Mistake("", PYTHON, stripe(PYTHON), now=NOW + 999),
    ),
    "other secret and body": (
        {"secret-other", "body-reserialised"},
        Mistake("", PYTHON, frappe(PHP, OTHER), also=[OTHER]),
    ),
    "other secret and its line end": (
        {"secret-other", "secret-whitespace"},
        Mistake("", PYTHON, frappe(PYTHON, OTHER), also=[f"{OTHER}\n"]),
    ),
    "URL and body": (
        {"url-differs", "body-line-end"},
        Mistake(
            "",
            PYTHON + b"\n",
            hubspot(URL.replace("https", "http")),
            scheme=providers.HUBSPOT_V3,
            method="POST",
            url=URL,
        ),
    ),
    "URL and secret": (
        {"url-differs", "secret-quotes"},
        Mistake(
            "",
            PYTHON,
            hubspot(URL.partition("?")[0]),
            f"'{SECRET}'",
            providers.HUBSPOT_V3,
            method="POST",
            url=URL,
        ),
    ),
    "time and body": (
        {"timestamp-in-signed", "body-reserialised"},
        Mistake(
            "",
            PYTHON,
            {"Stripe-Signature": f"t={NOW},v1={mac(COMPACT).hex()}"},
            scheme=providers.STRIPE,
        ),
    ),
    "id and time": (
        {"id-differs", "timestamp-out-of-tolerance"},
        Mistake(
            "",
            PYTHON,
            {"webhook-id": "msg_1", "webhook-timestamp": str(NOW)}
            | {"webhook-signature": f"v1,{base64_of(mac(b'%d.%s' % (NOW, PYTHON), KEY))}"},
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            providers.STANDARD_WEBHOOKS,
            now=NOW - 1000,
        ),
    ),
    "old and changed": (
        {"timestamp-out-of-tolerance", "body-line-end"},
        Mistake("", PYTHON + b"\r\n", stripe(PYTHON), scheme=providers.STRIPE, now=NOW + 400),
    ),
    "gzip and JSON": (
        {"body-compressed", "body-reserialised"},
        Mistake("", gzip.compress(COMPACT), frappe(PYTHON)),
    ),
    "compressed and secret": (
        {"body-compressed", "secret-whitespace"},
        Mistake("", PYTHON, frappe(gzip.compress(PYTHON, mtime=0)), f"{SECRET}\n"),
    ),
    "Go and secret": (
        {"body-reserialised", "secret-quotes"},
        Mistake("", b'{"b": "<", "a": 1}', frappe(b'{"a":1,"b":"\\u003c"}\n'), f'"{SECRET}"'),
    ),
    "base64 and JSON": (
        {"body-base64", "body-reserialised"},
        Mistake("", base64.b64encode(COMPACT), frappe(LINES)),
    ),
    "mark and line end": (
        {"body-charset", "body-line-end"},
        Mistake("", b"\xef\xbb\xbfplain text\n", frappe(b"plain text")),
    ),
    "HTML and encoding": (
        {"body-html-escaped", "signature-encoding"},
        Mistake("", b'{"a": "&amp;"}', {SIGNATURE: mac(b'{"a": "&"}').hex()}),
    ),
    "doubled and prefix": (
        {"header-doubled", "signature-prefix"},
        Mistake(
            "",
            PYTHON,
            {"X-Hub-Signature-256": f"{mac(PYTHON).hex()}, sha256={mac(b'').hex()}"},
            scheme=providers.GITHUB,
        ),
    ),
    "header of Standard Webhooks": (
        {"scheme-other", "body-line-end"},
        Mistake(
            "",
            json.dumps([1]).encode() + b"\n",
            standard(b"msg_1.%d.[1]" % NOW),
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            providers.SVIX,
        ),
    ),
}


@pytest.mark.parametrize(("codes", "mistake"), PAIRS.values(), ids=PAIRS)
def test_pairs(codes: set[str], mistake: Mistake) -> None:
    """Both are proved, by one MAC, and nothing else is claimed."""
    explanation = explained(mistake)

    assert explanation.verdict == "explained"
    assert {finding.code for finding in explanation.findings} == codes
    assert all(finding.is_proved for finding in explanation.findings)
