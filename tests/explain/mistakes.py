"""Requests with one mistake each, made with `hmac` alone, and the code that names the mistake."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import html
import json
import unicodedata
import zlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

from frappe_hooksig import Scheme, Secret, providers

SECRET = "S6D3Kvx1yMJ8Hv5Gm2QzTn4wRb7LpXce"
OTHER = "k7Rf2Lm9Qx4Tz8Wc3Vb6Nd1Hj5Gp0Sys"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_700_000_000
URL = "https://hooks.example.com/in?b=2&a=1"

VALUE: dict[str, Any] = {
    "name": "SO-0001",
    "customer": 'Café "Zoë" & Söhne <b>',
    "url": "https://example.com/a/b",
    "items": [{"qty": 2, "rate": 10.5}, {"qty": 1, "rate": 0.1}],
    "paid": True,
    "note": None,
    "at": "2026-02-28 23:59:59",
    "emoji": "🚀",
}
PYTHON = json.dumps(VALUE).encode()
COMPACT = json.dumps(VALUE, separators=(",", ":")).encode()
JAVASCRIPT = json.dumps(VALUE, separators=(",", ":"), ensure_ascii=False).encode()
FRAPPE_JSON = json.dumps(VALUE, indent=1, sort_keys=True, separators=(",", ": ")).encode()
LINES = json.dumps(VALUE, indent=2).encode()
PHP = COMPACT.replace(b"/", b"\\/")


IN_LINES = Scheme(
    name="in-lines",
    signature_header="X-MAC",
    timestamp_header="X-Time",
    id_header="X-Id",
    signed="{id}\n{timestamp}\n{body}",
    encoding="hex",
)


def mac(message: bytes, key: bytes | str = SECRET, digest: str = "sha256") -> bytes:
    """Return an HMAC."""
    return hmac.new(key.encode() if isinstance(key, str) else key, message, digest).digest()


def base64_of(raw: bytes) -> str:
    """Return base64."""
    return base64.b64encode(raw).decode()


@dataclass(eq=False)
class Mistake:
    """What is passed to `explain()`, and the code that it should find."""

    code: str
    body: bytes
    headers: dict[str, str] | list[tuple[str, str]]
    secret: Any = SECRET
    scheme: Scheme = providers.FRAPPE
    also: Any = ()
    method: str | None = None
    url: str | None = None
    now: float = NOW
    names: tuple[str, ...] = field(default=())  # other codes that are as right


def frappe(signed: bytes, key: bytes | str = SECRET) -> dict[str, str]:
    """Return Frappe's header for what was signed."""
    return {"X-Frappe-Webhook-Signature": base64_of(mac(signed, key))}


def stripe(signed: bytes, time: str = str(NOW), sent: str | None = None) -> dict[str, str]:
    """Return Stripe's header for what was signed."""
    digits = mac(f"{time}.".encode() + signed).hex()
    return {"Stripe-Signature": f"t={sent or time},v1={digits}"}


def hubspot(url: str = URL, method: str = "POST", body: bytes = PYTHON) -> dict[str, str]:
    """Return HubSpot's headers."""
    time = str(NOW * 1000)
    return {
        "X-HubSpot-Signature-V3": base64_of(mac(f"{method}{url}".encode() + body + time.encode())),
        "X-HubSpot-Request-Timestamp": time,
    }


def standard(message: bytes, **changes: str) -> dict[str, str]:
    """Return the headers of Standard Webhooks."""
    key = base64.b64decode(WHSEC.removeprefix("whsec_"))
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(NOW),
        "webhook-signature": f"v1,{base64_of(mac(message, key))}",
    } | changes


def of_body(code: str, signed: bytes, received: bytes, *names: str, **headers: str) -> Mistake:
    """Return a request of Frappe's whose body changed."""
    return Mistake(code, received, frappe(signed) | headers, names=names)


def of_secret(code: str, signed: bytes | str, configured: Any, *names: str) -> Mistake:
    """Return a request of Frappe's that was signed with another secret."""
    return Mistake(code, PYTHON, frappe(PYTHON, signed), configured, names=names)


def of_header(code: str, value: str, *names: str) -> Mistake:
    """Return a request of Frappe's with another signature header."""
    return Mistake(code, PYTHON, {"X-Frappe-Webhook-Signature": value}, names=names)


def of_github(digits: str) -> Mistake:
    """Return a request of GitHub's with a signature that was cut off."""
    headers = {"X-Hub-Signature-256": f"sha256={digits}"}
    return Mistake("signature-truncated", PYTHON, headers, scheme=providers.GITHUB)


def of_url(signed: str, known: str = URL, **headers: str) -> Mistake:
    """Return a request of HubSpot's for another URL."""
    return Mistake(
        "url-differs",
        PYTHON,
        hubspot(signed) | headers,
        scheme=providers.HUBSPOT_V3,
        method="POST",
        url=known,
    )


RIGHT = mac(PYTHON)
MESSAGE = b"msg_1.%d.%s" % (NOW, PYTHON)
FORM = urlencode({"payload": PYTHON.decode()}).encode()
FLAT = {"title": "Ünï 🚀", "amount": "12"}
BOUNDARY = b"--xyz"
PARTS = BOUNDARY + b'\r\nContent-Disposition: form-data; name="json"\r\n\r\n' + PYTHON
MULTIPART = PARTS + b"\r\n" + BOUNDARY + b"--\r\n"
TEXT = JAVASCRIPT.decode()
SLASHED = PYTHON.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
MULTILINE = LINES.replace(b"\n", b"\r\n")

MISTAKES: dict[str, Mistake] = {
    # the secret
    "line end configured": of_secret("secret-whitespace", SECRET, SECRET + "\n"),
    "space configured": of_secret("secret-whitespace", SECRET, f" {SECRET}"),
    "line end at sender": of_secret("secret-whitespace", SECRET + "\n", SECRET),
    "mark configured": of_secret("secret-whitespace", SECRET, f"\ufeff{SECRET}"),
    "quotes configured": of_secret("secret-quotes", SECRET, f'"{SECRET}"'),
    "quotes at sender": of_secret("secret-quotes", f"'{SECRET}'", SECRET),
    "bytes configured": of_secret("secret-quotes", SECRET, f"b'{SECRET}'"),
    "html": of_secret("secret-html-escaped", "a&amp;b&lt;c&gt;dddddddddd", "a&b<c>dddddddddd"),
    "html of Frappe": of_secret(
        "secret-html-escaped", "a<b>c</b>&amp;dxxxxxxxxx", "a<b>c</b>&dxxxxxxxxx"
    ),
    "html configured": of_secret(
        "secret-html-escaped", "a&b<c>dddddddd", "a&amp;b&lt;c&gt;dddddddd"
    ),
    "prefix configured": of_secret("secret-prefix", SECRET, f"whsec_{SECRET}", "secret-decoded"),
    "prefix missing": of_secret("secret-prefix", f"whsec_{SECRET}", SECRET),
    "prefix of Paddle": of_secret("secret-prefix", f"pdl_ntfset_{SECRET}", SECRET),
    "prefix of Paddle configured": of_secret(
        "secret-prefix", f"{SECRET}_x", f"pdl_ntfset_{SECRET}_x"
    ),
    "short prefix configured": of_secret("secret-prefix", SECRET, f"acme-{SECRET}"),
    "two short prefixes configured": of_secret("secret-prefix", SECRET, f"ab_cd_{SECRET}"),
    "prefix of a test key": of_secret("secret-prefix", f"sk_test_{SECRET}", SECRET),
    "variable configured": of_secret("secret-prefix", SECRET, f"WEBHOOK_SECRET={SECRET}"),
    "variable and quotes configured": of_secret(
        "secret-prefix", SECRET, f'export WEBHOOK_SECRET="{SECRET}"'
    ),
    "line end written out": of_secret("secret-whitespace", SECRET, f"{SECRET}\\n"),
    "base64 decoded": of_secret("secret-decoded", base64.b64decode(SECRET), SECRET),
    "hex decoded": of_secret("secret-decoded", bytes.fromhex("ab" * 20), "ab" * 20),
    "encoded": of_secret("secret-decoded", base64_of(SECRET.encode()), SECRET),
    "text as key": Mistake(
        "secret-decoded",
        PYTHON,
        standard(MESSAGE) | {"webhook-signature": f"v1,{base64_of(mac(MESSAGE, WHSEC))}"},
        WHSEC,
        providers.STANDARD_WEBHOOKS,
        names=("scheme-other",),
    ),
    "line end of whsec": Mistake(
        "secret-whitespace", PYTHON, standard(MESSAGE), WHSEC + "\n", providers.STANDARD_WEBHOOKS
    ),
    "window": of_secret("secret-window", SECRET, [Secret(SECRET, not_after=NOW - 1), OTHER]),
    "other": Mistake("secret-other", PYTHON, frappe(PYTHON, OTHER), also=[OTHER]),
    "no secret at the sender": of_secret("secret-other", b"undefined", SECRET),
    # the signature
    "hex": of_header("signature-encoding", RIGHT.hex()),
    "upper hex": of_header("signature-encoding", RIGHT.hex().upper()),
    "url safe": of_header("signature-encoding", base64.urlsafe_b64encode(RIGHT).decode()),
    "no padding": of_header("signature-encoding", base64_of(RIGHT).rstrip("=")),
    "base64 of hex": of_header("signature-encoding", base64_of(RIGHT.hex().encode())),
    "percent-encoded": of_header("signature-encoding", quote_plus(base64_of(RIGHT))),
    "padding": Mistake(
        "signature-encoding",
        PYTHON,
        {
            "sanity-webhook-signature": f"t={NOW}000,v1="
            + base64_of(mac(b"%d000.%s" % (NOW, PYTHON)))
        },
        scheme=providers.SANITY,
    ),
    "prefix": of_header("signature-prefix", f"sha256={base64_of(RIGHT)}"),
    "quoted": of_header("signature-prefix", f'"{base64_of(RIGHT)}"'),
    "no prefix": Mistake(
        "signature-prefix",
        PYTHON,
        {"X-Hub-Signature-256": RIGHT.hex()},
        scheme=providers.GITHUB,
    ),
    "other prefix": Mistake(
        "signature-prefix",
        PYTHON,
        {"X-Hub-Signature-256": f"v1={RIGHT.hex()}"},
        scheme=providers.GITHUB,
    ),
    "sha1": of_header("signature-digest", base64_of(mac(PYTHON, SECRET, "sha1"))),
    "sha512": of_header("signature-digest", base64_of(mac(PYTHON, SECRET, "sha512"))),
    "md5": of_header("signature-digest", base64_of(mac(PYTHON, SECRET, "md5"))),
    "bare hash": of_header(
        "signature-digest", base64_of(hashlib.sha256(SECRET.encode() + PYTHON).digest())
    ),
    "16 bytes": of_header("signature-truncated", base64_of(RIGHT[:16])),
    "31 bytes": of_header("signature-truncated", base64_of(RIGHT[:31])),
    "33 hex digits": of_github(RIGHT.hex()[:33]),
    "39 hex digits": of_github(RIGHT.hex()[:39]),
    "22 characters": of_header("signature-truncated", base64_of(RIGHT)[:22]),
    "25 characters": of_header("signature-truncated", base64_of(RIGHT)[:25]),
    "39 characters": of_header("signature-truncated", base64_of(RIGHT)[:39]),
    # another sender
    "github": Mistake("scheme-other", PYTHON, {"X-Hub-Signature-256": f"sha256={RIGHT.hex()}"}),
    "stripe": Mistake("scheme-other", PYTHON, stripe(PYTHON)),
    "svix": Mistake(
        "scheme-other",
        PYTHON,
        {name.replace("webhook", "svix"): value for name, value in standard(MESSAGE).items()},
        WHSEC,
        providers.STANDARD_WEBHOOKS,
    ),
    "gitlab": Mistake("scheme-other", PYTHON, {"X-Gitlab-Token": SECRET}),
    "own header": Mistake("scheme-other", PYTHON, {"X-My-Signature": base64_of(RIGHT)}),
    # the body
    "as_json signed": of_body("body-reserialised", FRAPPE_JSON, PYTHON),
    "as_json received": of_body(
        "body-reserialised",
        json.dumps(VALUE, sort_keys=True).encode(),
        FRAPPE_JSON,
    ),
    "compact signed": of_body("body-reserialised", COMPACT, PYTHON),
    "javascript signed": of_body("body-reserialised", JAVASCRIPT, PYTHON),
    "javascript received": of_body("body-reserialised", PYTHON, JAVASCRIPT),
    "javascript's numbers": of_body(
        "body-reserialised", b'{"a":1,"b":100,"c":2.5}', b'{"a": 1.0, "b": 1e2, "c": 2.5}'
    ),
    "javascript's large numbers": of_body(
        "body-reserialised",
        b'{"2":[12345678901234567000,null,null],"10":1,"b":0}',
        b'{"10": 1, "b": -0.0, "2": [12345678901234567890, NaN, 1' + b"0" * 400 + b"]}",
    ),
    "arrays of PHP": of_body(
        "body-reserialised", b'{"a":[],"b":[1,2]}', b'{"a": {}, "b": {"0": 1, "1": 2}}'
    ),
    "decimals": of_body("body-reserialised", b'{"a":1.50,"b":2}', b'{"a": 1.50, "b": 2}'),
    "keys in another order": of_body(
        "body-reserialised", b'{"z": 1, "a": 2, "m": {}}', b'{"a": 2, "m": {}, "z": 1}'
    ),
    ".NET": of_body(
        "body-reserialised",
        b'{"a":"\\u00E9\\u003C\\u0022\\u002B"}',
        b'{"a": "\\u00e9<\\"+"}',
        "body-escapes",
    ),
    "PHP's line separator": of_body(
        "body-reserialised",
        '{"a":"é\\u2028"}'.encode(),
        b'{"a": "\\u00e9\\u2028"}',
        "body-escapes",
    ),
    "php": of_body("body-reserialised", PHP, PYTHON, "body-escapes"),
    "pretty php": of_body(
        "body-reserialised",
        json.dumps(VALUE, indent=4).replace("/", "\\/").encode(),
        PYTHON,
        "body-escapes",
    ),
    "go": of_body(
        "body-reserialised",
        json.dumps(VALUE, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026")
        .encode()
        + b"\n",
        PYTHON,
        "body-escapes",
    ),
    "indent 2": of_body("body-reserialised", LINES, PYTHON),
    "indent 4": of_body("body-reserialised", json.dumps(VALUE, indent=4).encode(), PYTHON),
    "tabs": of_body("body-reserialised", json.dumps(VALUE, indent="\t").encode(), PYTHON),
    "string": of_body("body-reserialised", str(VALUE).encode(), PYTHON),
    "json string": of_body("body-reserialised", PYTHON, json.dumps(PYTHON.decode()).encode()),
    "json string of PHP": of_body(
        "body-reserialised", b'"{\\"a\\":\\"\\/\xc3\xa9\\"}"', b'{"a":"/\xc3\xa9"}'
    ),
    "one field": of_body("body-reserialised", json.dumps([1]).encode(), b'{"data": [1]}'),
    "slashes": of_body("body-escapes", PHP, COMPACT, "body-reserialised"),
    "slashes of PHP": of_body("body-escapes", PYTHON, SLASHED),
    "slashes of PHP signed": of_body("body-escapes", SLASHED, PYTHON),
    "no slashes": of_body("body-escapes", COMPACT, PHP, "body-reserialised"),
    "angles": of_body(
        "body-escapes",
        PYTHON.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026"),
        PYTHON,
        "body-reserialised",
    ),
    "upper case escapes": of_body(
        "body-escapes", b'{"a": "\\u00E9"}', b'{"a": "\\u00e9"}', "body-reserialised"
    ),
    "no ascii": of_body("body-escapes", JAVASCRIPT, COMPACT, "body-reserialised"),
    "line end added": of_body("body-line-end", PYTHON, PYTHON + b"\n"),
    "line end removed": of_body("body-line-end", PYTHON + b"\n", PYTHON),
    "CRLF": of_body("body-line-end", LINES, MULTILINE, "body-reserialised"),
    "LF": of_body("body-line-end", MULTILINE, LINES),
    "curl -d": of_body("body-line-end", LINES, LINES.replace(b"\n", b""), "body-reserialised"),
    "mark added": of_body("body-charset", PYTHON, b"\xef\xbb\xbf" + PYTHON, "body-reserialised"),
    "mark and CRLF": of_body(
        "body-charset",
        LINES,
        b"\xef\xbb\xbf" + MULTILINE,
        *("body-line-end", "body-reserialised"),
    ),
    "mark removed": of_body("body-charset", b"\xef\xbb\xbf" + PYTHON, PYTHON),
    "latin-1 twice": of_body("body-charset", JAVASCRIPT, JAVASCRIPT.decode("latin-1").encode()),
    "latin-1 at sender": of_body("body-charset", JAVASCRIPT.decode("latin-1").encode(), JAVASCRIPT),
    "cp1252": of_body("body-charset", '{"a": "é"}'.encode(), '{"a": "Ã©"}'.encode()),
    "utf-16": of_body("body-charset", TEXT.encode("utf-16"), JAVASCRIPT),
    "utf-16 received": of_body("body-charset", JAVASCRIPT, TEXT.encode("utf-16")),
    "latin-1 received": of_body("body-charset", '{"a": "é"}'.encode(), b'{"a": "\xe9"}'),
    "replaced": of_body("body-charset", '{"a": "\ufffd"}'.encode(), b'{"a": "\xff"}'),
    "normalised": of_body("body-charset", unicodedata.normalize("NFD", TEXT).encode(), JAVASCRIPT),
    "html escaped": of_body("body-html-escaped", TEXT.encode(), html.escape(TEXT).encode()),
    "html unescaped": of_body("body-html-escaped", html.escape(TEXT).encode(), TEXT.encode()),
    "htmlspecialchars": of_body(
        "body-html-escaped", b"{&quot;a&quot;: &quot;&#039;&quot;}", b'{"a": "\'"}'
    ),
    "gzip": of_body("body-compressed", PYTHON, gzip.compress(PYTHON)),
    "deflate": of_body("body-compressed", PYTHON, zlib.compress(PYTHON)),
    "gzip signed": of_body("body-compressed", gzip.compress(PYTHON, mtime=0), PYTHON),
    "zlib signed": of_body("body-compressed", zlib.compress(PYTHON), PYTHON),
    "gzip announced": Mistake(
        "body-compressed",
        PYTHON,
        {"X-Signature": RIGHT.hex(), "Content-Encoding": "gzip"},
        scheme=providers.GETSTREAM,
    ),
    "base64 received": of_body("body-base64", PYTHON, base64.b64encode(PYTHON)),
    "base64 signed": of_body("body-base64", base64.b64encode(PYTHON), PYTHON),
    "payload": of_body("body-form", PYTHON, FORM),
    "payload signed": of_body("body-form", b"payload=" + quote_plus(PYTHON).encode(), PYTHON),
    "flat form": of_body("body-form", json.dumps(FLAT).encode(), urlencode(FLAT).encode()),
    "flat form signed": of_body("body-form", urlencode(FLAT).encode(), json.dumps(FLAT).encode()),
    "form of as_json": of_body(
        "body-form",
        json.dumps({"amount": 12, "title": "x y"}, indent=1, separators=(",", ": ")).encode(),
        b"title=x+y&amount=12",
    ),
    "parts without names": of_body(
        "body-multipart", PYTHON, b"--x\r\nContent-Type: a/b\r\n\r\n" + PYTHON + b"\r\n--x--"
    ),
    "fields of parts": of_body(
        "body-multipart", json.dumps({"json": PYTHON.decode()}).encode(), MULTIPART
    ),
    "multipart": of_body("body-multipart", PYTHON, MULTIPART),
    "empty": of_body("body-empty", b"", PYTHON),
    "no object": of_body("body-empty", b"{}", PYTHON),
    "limit": of_body("body-truncated", PYTHON[:128], PYTHON),
    "content length": of_body(
        "body-truncated", PYTHON[:-3], PYTHON, **{"Content-Length": str(len(PYTHON) - 3)}
    ),
    "any length": of_body("body-truncated", PYTHON[:77], PYTHON),
    "unclosed": of_body("body-truncated", b'{"a": [1, 2]}', b'{"a": [1, 2'),
    "second later": of_body("rendered-twice", PYTHON.replace(b"23:59:59", b"23:59:58"), PYTHON),
    "over midnight": of_body(
        "rendered-twice", PYTHON.replace(b"2026-02-28 23:59:59", b"2026-03-01 00:00:00"), PYTHON
    ),
    "next day": of_body("rendered-twice", b'{"day": "28-02-2026"}', b'{"day": "01-03-2026"}'),
    "unix": of_body("rendered-twice", b'{"at": 1700000000}', b'{"at": 1700000001}'),
    "several times": of_body(
        "rendered-twice",
        b'{"from": "10:00:00", "to": "11:00:00"}',
        b'{"from": "10:00:01", "to": "11:00:01"}',
    ),
    "milliseconds in the body": of_body(
        "rendered-twice", b'{"at": 1700000000123}', b'{"at": 1700000000456}'
    ),
    "thousandths": of_body(
        "rendered-twice",
        b'{"at": "2026-11-22T08:49:40.999"}',
        b'{"at": "2026-11-22T08:49:41.007"}',
    ),
    "later by microseconds": of_body(
        "rendered-twice",
        b'{"sent_at": "2026-11-22T08:49:40.459310"}',
        b'{"sent_at": "2026-11-22T08:49:40.459000"}',
    ),
    "no date": of_body(
        "rendered-twice",
        b'{"at": "10:00:00", "no": "99:99:99 2026-99-99 99:99:99.999999"}',
        b'{"at": "10:00:01", "no": "99:99:99 2026-99-99 99:99:99.999999"}',
    ),
    "microseconds": of_body(
        "rendered-twice",
        b'{"sent_at": "2026-11-22 08:49:40.454854"}',
        b'{"sent_at": "2026-11-22 08:49:40.461310"}',
    ),
    # what is signed besides
    "time not signed": Mistake(
        "timestamp-in-signed",
        PYTHON,
        {"Stripe-Signature": f"t={NOW},v1={RIGHT.hex()}"},
        scheme=providers.STRIPE,
    ),
    "joined otherwise": Mistake(
        "timestamp-in-signed",
        PYTHON,
        {"Stripe-Signature": f"t={NOW},v1={mac(b'%d:%s' % (NOW, PYTHON)).hex()}"},
        scheme=providers.STRIPE,
    ),
    "time signed": Mistake(
        "timestamp-in-signed",
        PYTHON,
        frappe(b"%d.%s" % (NOW, PYTHON)) | {"X-Timestamp": str(NOW)},
    ),
    "milliseconds sent": Mistake(
        "timestamp-unit",
        PYTHON,
        stripe(PYTHON, str(NOW), f"{NOW}000"),
        scheme=providers.STRIPE,
    ),
    "milliseconds signed": Mistake(
        "timestamp-unit",
        PYTHON,
        stripe(PYTHON, f"{NOW}123", str(NOW)),
        scheme=providers.STRIPE,
    ),
    "milliseconds": Mistake(
        "timestamp-unit", PYTHON, stripe(PYTHON, f"{NOW}123"), scheme=providers.STRIPE
    ),
    "too old": Mistake(
        "timestamp-out-of-tolerance",
        PYTHON,
        stripe(PYTHON),
        scheme=providers.STRIPE,
        now=NOW + 600,
    ),
    "time dropped": Mistake(
        "header-missing",
        PYTHON,
        {"X-Slack-Signature": f"v0={mac(b'v0:%d:%s' % (NOW - 7, PYTHON)).hex()}"},
        scheme=providers.SLACK,
    ),
    "id not signed": Mistake(
        "id-differs",
        PYTHON,
        standard(b"%d.%s" % (NOW, PYTHON)),
        WHSEC,
        providers.STANDARD_WEBHOOKS,
    ),
    "id not signed in lines": Mistake(
        "id-differs",
        PYTHON,
        {"X-Id": "msg_1", "X-Time": str(NOW), "X-MAC": mac(b"%d\n%s" % (NOW, PYTHON)).hex()},
        scheme=IN_LINES,
    ),
    "other id": Mistake(
        "id-differs",
        PYTHON,
        standard(MESSAGE, **{"webhook-id": "msg_2", "X-Request-Id": "msg_1"}),
        WHSEC,
        providers.STANDARD_WEBHOOKS,
    ),
    "id in the body": Mistake(
        "id-differs",
        b'{"id": "evt_9"}',
        standard(b'evt_9.%d.{"id": "evt_9"}' % NOW) | {"X-None": ""},
        WHSEC,
        providers.STANDARD_WEBHOOKS,
    ),
    "other time": Mistake(
        "timestamp-in-signed",
        PYTHON,
        stripe(PYTHON, str(NOW - 60), str(NOW)) | {"X-Sent-At": str(NOW - 60)} | {"X-None": ""},
        scheme=providers.STRIPE,
    ),
    "fraction of a second": Mistake(
        "timestamp-unit",
        PYTHON,
        {
            "Twitch-Eventsub-Message-Id": "1",
            "Twitch-Eventsub-Message-Timestamp": "2023-11-14T22:13:20.5Z",
            "Twitch-Eventsub-Message-Signature": "sha256="
            + mac(b"12023-11-14T22:13:20Z" + PYTHON).hex(),
        },
        scheme=providers.TWITCH,
    ),
    "RFC 3339 signed": Mistake(
        "timestamp-unit",
        PYTHON,
        {"X-Slack-Request-Timestamp": str(NOW)}
        | {"X-Slack-Signature": f"v0={mac(b'v0:2023-11-14T22:13:20Z:' + PYTHON).hex()}"},
        scheme=providers.SLACK,
    ),
    "time of the Date header": Mistake(
        "header-missing",
        PYTHON,
        {"Date": "Tue, 14 Nov 2023 22:13:20 GMT"}
        | {"X-Slack-Signature": f"v0={mac(b'v0:%d:%s' % (NOW, PYTHON)).hex()}"},
        scheme=providers.SLACK,
        now=NOW + 86400,
    ),
    "http": of_url(URL.replace("https", "http")),
    "host": of_url(URL, "http://127.0.0.1:8000/in?b=2&a=1", Host="hooks.example.com"),
    "host in upper case": of_url(URL, URL.replace("hooks", "Hooks")),
    "port": of_url(URL.replace("com/", "com:443/")),
    "no port": of_url(URL, URL.replace("com/", "com:8000/")),
    "slash": of_url(URL.replace("in?", "in/?")),
    "no slash": of_url(URL, URL.replace("in?", "in/?")),
    "path prefix": of_url(URL.replace("/in", "/api/in"), URL, **{"X-Forwarded-Prefix": "/api"}),
    "path prefix here": of_url(URL, URL.replace("/in", "/api/in")),
    "no query": of_url(URL.partition("?")[0]),
    "sorted query": of_url(URL.replace("b=2&a=1", "a=1&b=2")),
    "decoded query": of_url(URL + "&c=x y", URL + "&c=x%20y"),
    "method without URL": Mistake(
        "url-differs",
        PYTHON,
        hubspot(""),
        scheme=providers.HUBSPOT_V3,
        method="POST",
        url=URL,
    ),
    "no fragment": of_url(URL, f"{URL}#top"),
    "original path": of_url(
        URL.replace("/in?b=2&a=1", "/api/in?x=1"), URL, **{"X-Original-URI": "/api/in?x=1"}
    ),
    "double slash": of_url(URL, URL.replace("com/in", "com//in")),
    "decoded path": of_url(URL.replace("/in", "/a b"), URL.replace("/in", "/a%20b")),
    "user": of_url(URL, URL.replace("https://", "https://me:word@")),
    "upper case scheme": of_url(
        URL.replace("https", "HTTPS"), URL, **{"X-Forwarded-Proto": "HTTPS"}
    ),
    "www": of_url(URL.replace("hooks", "www.hooks")),
    "path only": of_url("/in?b=2&a=1"),
    "method": Mistake(
        "method-differs",
        PYTHON,
        hubspot(method="PUT"),
        scheme=providers.HUBSPOT_V3,
        method="POST",
        url=URL,
    ),
    "lower case method": Mistake(
        "method-differs",
        PYTHON,
        hubspot(),
        scheme=providers.HUBSPOT_V3,
        method="post",
        url=URL,
    ),
    # headers
    "secret in header": of_header("header-overridden", SECRET, "scheme-other"),
    "doubled": Mistake(
        "header-doubled",
        PYTHON,
        [*frappe(PYTHON).items(), ("X-Frappe-Webhook-Signature", base64_of(mac(b"x")))],
    ),
    "joined": of_header("header-doubled", f"{base64_of(mac(b'x'))}, {base64_of(RIGHT)}"),
}
