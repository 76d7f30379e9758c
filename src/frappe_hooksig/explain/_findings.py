"""The result of `explain()`, and the codes of all causes with their words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

#: Whether a request is genuine, or at least one cause is proved, or none.
Verdict: TypeAlias = Literal["genuine", "explained", "unexplained"]

#: A stable code of a cause.
Code: TypeAlias = Literal[
    "secret-whitespace",
    "secret-quotes",
    "secret-html-escaped",
    "secret-prefix",
    "secret-decoded",
    "secret-window",
    "secret-other",
    "signature-encoding",
    "signature-prefix",
    "signature-digest",
    "signature-truncated",
    "scheme-other",
    "body-reserialised",
    "body-line-end",
    "body-charset",
    "body-escapes",
    "body-html-escaped",
    "body-compressed",
    "body-base64",
    "body-form",
    "body-multipart",
    "body-empty",
    "body-truncated",
    "url-differs",
    "method-differs",
    "id-differs",
    "timestamp-unit",
    "timestamp-in-signed",
    "timestamp-out-of-tolerance",
    "rendered-twice",
    "header-overridden",
    "header-missing",
    "header-doubled",
    "redirected",
]


class Step(NamedTuple):
    """One deviation from what the scheme demands, on the way to a MAC."""

    code: Code
    evidence: str
    also: tuple[Code, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One cause of a mismatch. It shows no secret, no expected signature and no MAC.

    Attributes:
        code: The stable code.
        also_codes: Other causes that give the same MAC. Nothing tells them apart.
        is_proved: Whether a MAC was recomputed with this cause, and the request contains it. A
            finding that is not proved is a hint.
        title: The cause, as one sentence.
        evidence: What the request shows.
        remedy: What to do about it.
    """

    code: Code
    also_codes: tuple[Code, ...]
    is_proved: bool
    title: str
    evidence: str
    remedy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What is known about a request.

    Attributes:
        verdict: "genuine", "explained" if a cause is proved, or "unexplained".
        findings: The causes, the surest first. Proved ones explain the request together.
        untried: What there was no time for, or what was left out because the body is large.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    untried: tuple[str, ...]


_AT_SENDER = "sign the bytes that you send: serialise once, sign, and send the same bytes"
_RAW = "verify the raw body, before anything parses or rewrites it, and let no proxy rewrite it"
_PLAIN = f"{_RAW}; at the sender, {_AT_SENDER}"

# The title and the remedy of each code.
_WORDS: Final[dict[Code, tuple[str, str]]] = {
    "secret-whitespace": (
        "The secret has extra white space, or lacks some.",
        "save exactly the secret that the sender shows: without a line end, a space or a tab that "
        "an editor, echo or a form added",
    ),
    "secret-quotes": (
        "The secret has extra quotes, or lacks its quotes.",
        "remove the quotes from the environment file or the setting: Docker and systemd may take "
        "them for a part of the secret",
    ),
    "secret-html-escaped": (
        "One side stores the secret with HTML escapes.",
        "choose a secret without <, > and &, such as one from generate_secret()",
    ),
    "secret-prefix": (
        "The secret has an extra prefix, or lacks its prefix.",
        "copy the whole secret from the sender's page, with its prefix",
    ),
    "secret-decoded": (
        "The two sides turn the text of the secret into different keys.",
        "use the sender's format: Scheme.secret_format says whether the text is decoded",
    ),
    "secret-window": (
        "The secret that signed is not valid now.",
        "check not_before and not_after of the secret, or let the sender use the new one",
    ),
    "secret-other": (
        "Another secret signed.",
        "configure the secret that the sender's page shows for this very webhook",
    ),
    "signature-encoding": (
        "The signature is right, but written in another encoding.",
        "let the sender write it in the expected encoding; if you cannot change the sender, verify "
        "with a Scheme(...) of your own that has its encoding=",
    ),
    "signature-prefix": (
        "The signature is right, but the text around it is not.",
        "let the sender write what is expected; if you cannot change the sender, verify with a "
        "Scheme(...) of your own that has its prefix=",
    ),
    "signature-digest": (
        "The signature is made with another hash function.",
        "let the sender use the expected one, or verify with a Scheme(...) of your own that has "
        "the sender's digest= and algorithm=",
    ),
    "signature-truncated": (
        "The signature is cut off.",
        "store and send the whole signature; look for a column or a header that is too short",
    ),
    "scheme-other": (
        "The request is signed as another sender signs.",
        "verify with the scheme that the evidence names (scheme=, or --scheme); if it names none, "
        "use a Scheme(...) of your own with this signature_header=",
    ),
    "body-reserialised": ("The JSON was serialised anew after it was signed.", _PLAIN),
    "body-line-end": ("Line ends of the body were added, removed or changed.", _PLAIN),
    "body-charset": ("The body was decoded and encoded in another character set.", _PLAIN),
    "body-escapes": ("The escapes in the JSON were rewritten.", _PLAIN),
    "body-html-escaped": ("The body was escaped or unescaped as HTML.", _PLAIN),
    "body-compressed": (
        "The body was compressed or decompressed after it was signed.",
        "verify the bytes that were signed: turn compression off in the proxy, or verify before "
        "it; if the sender compresses what it signed, set signs_decoded_body= of a Scheme(...)",
    ),
    "body-base64": (
        "The body was encoded or decoded as base64 after it was signed.",
        "decode the body first: AWS says so with isBase64Encoded",
    ),
    "body-form": ("One side signs a form, the other one its content.", _PLAIN),
    "body-multipart": ("The sender signs a part of the multipart body only.", _PLAIN),
    "body-empty": (
        "The body is empty on one side.",
        "let nothing read the body before it is signed or verified, and sign the body that is sent",
    ),
    "body-truncated": (
        "The body was cut off.",
        "raise the size limit of the proxy or the server, and compare Content-Length",
    ),
    "url-differs": (
        "The sender signed another URL.",
        "pass the URL that is registered with the sender; behind a proxy, see trust_forwarded=",
    ),
    "method-differs": (
        "The sender signed another method.",
        "pass the method of the request, in capital letters; a redirect may have changed it",
    ),
    "id-differs": (
        "The sender signed another id, or none.",
        "send the id that was signed, in the header that the scheme names",
    ),
    "timestamp-unit": (
        "The timestamp is in another unit.",
        "let both sides use the unit of Scheme.timestamp_format",
    ),
    "timestamp-in-signed": (
        "The timestamp is not signed in the way that the scheme demands.",
        "compare Scheme.signed with what the sender joins, character for character",
    ),
    "timestamp-out-of-tolerance": (
        "The signature is right, but too old or from the future.",
        "set the clocks of both sides; a delivery that is sent again must be signed again",
    ),
    "rendered-twice": (
        "The payload was rendered twice, and the two differ.",
        "in the Webhook's template, use a stored field such as doc.modified, not now() or random()",
    ),
    "header-overridden": (
        "The signature header has no signature.",
        "remove the header row of the same name from the Webhook, and what else sets the header",
    ),
    "header-missing": (
        "A header that the scheme needs is missing.",
        "turn signing on at the sender, and let no proxy drop the header",
    ),
    "header-doubled": (
        "A header occurs more than once.",
        "let only one side set the header; a proxy may add its own",
    ),
    "redirected": (
        "A redirect may have dropped the body.",
        "register the URL that is redirected to: https, host and slash at the end",
    ),
}


def finding(step: Step, *, is_proved: bool) -> Finding:
    """Return a finding with the words of its code."""
    title, remedy = _WORDS[step.code]
    return Finding(
        code=step.code,
        also_codes=step.also,
        is_proved=is_proved,
        title=title,
        evidence=step.evidence,
        remedy=remedy,
    )
