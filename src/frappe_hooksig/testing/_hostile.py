"""What strangers send, and what genuine senders send that receivers stumble over."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeAlias, TypedDict, cast

from frappe_hooksig._keys import redacted
from frappe_hooksig._payload import new_id
from frappe_hooksig._raw_body import MAX_BODY
from frappe_hooksig._secret_checks import masked_unless, unknown_options
from frappe_hooksig.exceptions import ConfigurationError, Reason
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets
from frappe_hooksig.testing._cases import Expected, HostileCase
from frappe_hooksig.testing._forging import ENCODINGS, Forger, Parts, Payloads, gzipped
from frappe_hooksig.testing._requests import SignedRequest

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

_MARGIN = 60  # seconds beyond the tolerance
_HUGE = 65_536  # characters of a header
_ROUNDS = 3  # of requests that are sent at once

# What those without a secret have for one: an empty setting, and what text it becomes.
_NO_SECRETS = (b"", b"None", b"null", b"undefined")

_GARBLED = ("9" * 400, "nan", "-1", "1e9", "", "soon")
# int() and float() of Python read these, as others do.
_RESPELLED: tuple[Callable[[str], str], ...] = (
    lambda text: f"0{text}",
    lambda text: f"{text}.0",
    lambda text: f"+{text}",
)
_RESPELLED_RFC3339: tuple[Callable[[str], str], ...] = (
    lambda text: text.lower(),
    lambda text: text.replace("Z", "+00:00"),
)
_OTHER_HEADERS = (("X-Hub-Signature-256", "sha256="), ("X-Webhook-Signature", ""))

_Make: TypeAlias = Callable[[], SignedRequest | list[SignedRequest]]


class HostileOptions(TypedDict, total=False):
    """Options of `hostile_requests()`, `check_receiver()` and `judge_receiver()`.

    Attributes:
        url: The URL that is registered with the sender, if the scheme signs it.
        payload: What the handler accepts, as for `signed_request()`, or a function that returns it.
            By default it is a JSON object. A dict gets a new id at the scheme's `body_id`, and JSON
            gets white space at its end, so that no two deliveries are the same.
        method: The HTTP method, POST by default.
        tolerance: How far a timestamp may be from now in the receiver, in seconds. The default is
            `Scheme.tolerance`.
        max_body: The largest body that the receiver accepts, in bytes. The default is 25 MiB.
        handles_once: Whether the receiver handles a repeated delivery only once.
        headers: Headers of every request, such as the sender's event.
        clock: Returns the current time, in Unix seconds.
    """

    url: str | None
    payload: Payloads
    method: str
    tolerance: float | None
    max_body: int
    handles_once: bool
    headers: Mapping[str, str] | None
    clock: Callable[[], float]


def refuse_unknown(options: HostileOptions) -> None:
    """Refuse unknown options. Every function that takes `HostileOptions` calls this first.

    Raises:
        ConfigurationError: An option is unknown.
    """
    names = HostileOptions.__optional_keys__
    problem = unknown_options(cast("dict[str, object]", options), names)
    if problem is not None:
        raise ConfigurationError(problem)


def hostile_requests(
    scheme: Scheme, secret: Secrets, **options: Unpack[HostileOptions]
) -> list[HostileCase]:
    """Return requests that find mistakes in a receiver, and what a right receiver answers.

    Some are genuine. The others are what strangers send: unsigned, tampered, too old, and so on.

    >>> from frappe_hooksig.providers import FRAPPE
    >>> for case in hostile_requests(FRAPPE, "S6D3Kvx1yMJ8Hv5Gm2QzTn4wRb7LpXce")[:2]:
    ...     print(case)
    <HostileCase genuine: accepted>
    <HostileCase genuine-json: accepted>

    Args:
        scheme: The scheme of the receiver.
        secret: The secret of the receiver, or several during a rotation. The first one signs.
        **options: See `HostileOptions`.

    Raises:
        PayloadError: The payload cannot be turned into bytes.
        ConfigurationError: The secret cannot be used, or an argument does not fit the scheme.
    """
    several = redacted(secret)
    del secret  # error reporters show the local variables of every frame
    refuse_unknown(options)
    forger = Forger(
        masked_unless(Scheme, scheme),
        several,
        url=options.get("url"),
        payload=options.get("payload"),
        method=options.get("method", "POST"),
        tolerance=options.get("tolerance"),
        max_body=options.get("max_body", MAX_BODY),
        headers=options.get("headers"),
        clock=options.get("clock", time.time),
    )
    cases = [
        *_genuine(forger),
        *_wrong_secrets(forger),
        *_unsigned(forger),
        *_unreadable(forger),
        *_repeated(forger, handles_once=options.get("handles_once", False)),
    ]
    if forger.scheme.signs_body:
        cases += [*_tampered(forger), *_other_spellings(forger), *_other_content(forger)]
    if forger.scheme.signs_timestamp:
        cases += _other_times(forger)
    return cases


def _refused(
    forger: Forger,
    name: str,
    make: _Make,
    mistake: str,
    *,
    expected: Expected = "refused",
    reason: Reason | None = None,
) -> HostileCase:
    """Return a case of requests that a right receiver refuses."""
    sample: list[SignedRequest] = [] if reason is not None else _listed(make)
    several: list[Expected] = [expected] * max(len(sample), 1)
    reasons = {*map(forger.reason_of, sample)}
    if len(reasons) == 1:
        reason = reasons.pop()
    handled = 0 if expected == "refused" else None
    return HostileCase(
        name, partial(_listed, make), several, mistake, handled=handled, reason=reason
    )


def _accepted(
    name: str, make: _Make, mistake: str, *, expected: Expected = "accepted"
) -> HostileCase:
    """Return a case of one genuine request."""
    handled = 1 if expected == "accepted" else None
    return HostileCase(name, partial(_listed, make), [expected], mistake, handled=handled)


def _listed(make: _Make) -> list[SignedRequest]:
    made = make()
    return [made] if isinstance(made, SignedRequest) else made


def _genuine(forger: Forger) -> Iterator[HostileCase]:
    scheme = forger.scheme
    yield _accepted("genuine", forger.genuine, "It refuses genuine requests.")
    if forger.odd_json() is not None:
        yield _accepted(
            "genuine-json",
            lambda: forger.genuine(body=forger.odd_json()),
            "It refuses JSON that is written in an unusual way.",
        )
    if scheme.algorithm == "hmac":
        yield _accepted(
            "genuine-bytes",
            forger.binary,
            "It computes the MAC of text that it has decoded and encoded again, not of the bytes "
            "that came.",
            expected="verified",
        )
    else:
        yield _refused(
            forger,
            "bytes",
            forger.binary,
            "It accepts bytes that are not UTF-8: whoever sees a bare hash can extend what it "
            "signs, but never to valid text.",
        )
    if scheme.signs_decoded_body:
        yield _accepted(
            "genuine-gzip",
            lambda: gzipped(forger.genuine()),
            "It does not decompress the body before it computes the MAC.",
        )
        yield _refused(
            forger,
            "huge-gzip",
            lambda: gzipped(forger.huge()),
            "It decompresses bodies of any size.",
            reason=Reason.BODY_TOO_LARGE,
        )
    if scheme.signs_timestamp:
        for name, part, side in (("late", -0.5, "past"), ("early", 0.5, "future")):
            yield _accepted(
                f"genuine-{name}",
                partial(forger.genuine, ahead=part * forger.tolerance),
                f"It refuses timestamps within the tolerance, in the {side}.",
            )
    if scheme.capacity > 1:
        for place, (name, kept) in enumerate((("first", "last"), ("last", "first"))):
            yield _accepted(
                f"rotated-{name}",
                partial(forger.rotated, place),
                f"It looks only at the {kept} of several signatures.",
            )


def _wrong_secrets(forger: Forger) -> Iterator[HostileCase]:
    yield _refused(
        forger,
        "wrong-secret",
        lambda: forger.signed_with(forger.forged),
        "It accepts any signature. Is its secret set? Without one it must refuse everything. Does "
        "the decorator of the route stand above that which verifies?",
    )
    yield _refused(
        forger,
        "empty-secret",
        lambda: [forger.keyed(key) for key in _NO_SECRETS],
        "It accepts signatures that an empty secret makes: its secret is not set.",
    )
    yield _refused(
        forger,
        "truncated",
        lambda: [forger.rewritten(partial(_beginning, part=part)) for part in (2, 32)],
        "It compares only the beginning of the signature.",
    )
    yield _refused(
        forger,
        "extended",
        lambda: forger.rewritten(lambda text: f"{text}A"),
        "It compares only a part of the signature.",
    )


def _unsigned(forger: Forger) -> Iterator[HostileCase]:
    scheme = forger.scheme
    header = scheme.signature_headers[0]
    others = {"timestamp": scheme.timestamp_header, "id": scheme.id_header}
    yield _refused(
        forger,
        "unsigned",
        lambda: forger.bare(forger.parts(), ()),
        "It accepts requests without the header: no header, no check.",
    )
    yield _refused(
        forger,
        "unsigned-bytes",
        forger.unsigned_binary,
        "It reads the body before it verifies the request.",
    )
    if any(others.values()):
        yield _refused(
            forger,
            "unsigned-half",
            partial(forger.without, scheme.signature_headers),
            "It accepts requests without the signature's header, if the others are there.",
        )
    yield _refused(
        forger,
        "empty-signature",
        lambda: [forger.rewritten(lambda _: ""), forger.with_header(header, "")],
        "It takes an empty signature for none, and does not check.",
    )
    for name, other in others.items():
        if other is not None:
            yield _refused(
                forger,
                f"no-{name}",
                partial(forger.without, (other,)),
                f"It accepts requests without {other}, although the sender signs it.",
            )
    known = {each.lower() for each in scheme.header_names}
    other, prefix = next(each for each in _OTHER_HEADERS if each[0].lower() not in known)
    yield _refused(
        forger,
        "other-scheme",
        partial(forger.of_other_scheme, other, prefix),
        f"It accepts the signature of another scheme, in {other}.",
    )


def _unreadable(forger: Forger) -> Iterator[HostileCase]:
    scheme = forger.scheme
    yield _refused(
        forger,
        "non-ascii-signature",
        lambda: [
            forger.rewritten(lambda _: "\xe9\xff"),
            forger.rewritten(lambda text: text[:-1] + "\xe9"),
        ],
        "It fails if the signature is not ASCII: compare bytes, or encode the header first.",
    )
    for name, header in (("timestamp", scheme.timestamp_header), ("id", scheme.id_header)):
        if header is not None:
            yield _refused(
                forger,
                f"non-ascii-{name}",
                # A digit for isdigit(), but not for int().
                partial(forger.with_header, header, "\xb2"),
                f"It fails if {header} is not ASCII.",
            )
    yield _refused(
        forger,
        "folded",
        lambda: [forger.rewritten(partial(_split, by=by)) for by in (" ", "\t")],
        "It removes white space from a signature: one signature has many spellings.",
    )
    yield _refused(
        forger,
        "huge-header",
        lambda: forger.rewritten(lambda _: "A" * _HUGE),
        "It accepts a header of any size.",
    )
    yield _refused(
        forger,
        "huge-body",
        forger.huge,
        f"It accepts a body of {forger.max_body + 1} bytes. For another limit, pass max_body= of "
        "check_receiver(). To set one: MAX_CONTENT_LENGTH in Flask, DATA_UPLOAD_MAX_MEMORY_SIZE in "
        "Django, or the limit of the proxy.",
        reason=Reason.BODY_TOO_LARGE,
    )
    for name, are_right in (
        ("right-wrong", (True, False)),
        ("wrong-right", (False, True)),
        ("same", (True, True)),
    ):
        yield _refused(
            forger,
            f"doubled-{name}",
            partial(forger.doubled, are_right),
            "It fails if a header occurs twice.",
            expected="either",
        )


def _repeated(forger: Forger, *, handles_once: bool) -> Iterator[HostileCase]:
    rounds: list[Expected] = ["repeat"] * _ROUNDS
    yield HostileCase(
        "repeated",
        lambda: [forger.genuine()] * 2,
        ("accepted", "repeat"),
        "It handles a repeated delivery twice.",
        handled=1 if handles_once else None,
    )
    yield HostileCase(
        "repeated-at-once",
        lambda: [forger.genuine() for _ in rounds],
        rounds,
        "It handles a delivery twice if two copies come at once: it looks whether the delivery is "
        "new, and records it later. Both must be one step.",
        handled=_ROUNDS if handles_once else None,
        at_once=True,
    )
    yield HostileCase(
        "forged-before",
        forger.after_forgery,
        ("refused", "accepted"),
        "It records a delivery before it has verified it: whoever sends a forgery first, prevents "
        "that the genuine one is handled.",
        handled=1,
        reason=forger.reason_of(forger.after_forgery()[0]),
    )


def _tampered(forger: Forger) -> Iterator[HostileCase]:
    scheme = forger.scheme
    yield _refused(
        forger,
        "tampered-body",
        lambda: forger.changed(body=forger.parts().body),
        "It accepts another body than the one that was signed.",
    )
    if forger.odd_json() is not None:
        yield _refused(
            forger,
            "respaced-body",
            forger.reserialised,
            "It computes the MAC of JSON that it has parsed and serialised again, not of the bytes "
            "that came.",
        )
    if scheme.signs_timestamp:
        yield _refused(
            forger,
            "tampered-timestamp",
            lambda: forger.changed(timestamp=forger.time_text(-1)),
            "It does not include the timestamp in the MAC.",
        )
    if scheme.id_header is not None:
        yield _refused(
            forger,
            "tampered-id",
            lambda: forger.changed(id=new_id()),
            "It does not include the id in the MAC.",
        )
    if scheme.signs_url:
        yield _refused(
            forger,
            "other-url",
            lambda: forger.changed({"url": f"{forger.parts().url}x"}),
            "It accepts a request that was signed for another URL.",
        )
    if "{method}" in scheme.signed:
        yield _refused(
            forger,
            "other-method",
            lambda: forger.changed({"method": "PATCH"}),
            "It accepts a request that was signed for another method.",
        )


def _other_spellings(forger: Forger) -> Iterator[HostileCase]:
    """Yield the right MAC in other spellings. Those that this package accepts are right too."""
    scheme = forger.scheme
    spellings = {f"as-{name}": write for name, write in ENCODINGS.items()}
    del spellings[f"as-{scheme.encoding}"]
    spellings["as-upper-case"] = lambda mac: forger.text(mac).swapcase()
    for name, write in spellings.items():
        is_accepted = forger.reason_of(forger.written(write)) is None
        yield _refused(
            forger,
            name,
            partial(forger.written, write),
            f"It accepts the right MAC in another spelling than {scheme.encoding}.",
            expected="either" if is_accepted else "refused",
        )
    if not scheme.separator:
        added = "" if scheme.prefix else "sha256="
        yield _refused(
            forger,
            "with-prefix" if added else "without-prefix",
            partial(forger.prefixed, added),
            f"It accepts a signature with {added!r} before it."
            if added
            else f"It accepts a signature without {scheme.prefix!r} before it.",
        )


def _other_content(forger: Forger) -> Iterator[HostileCase]:
    """Yield signatures of other content, or with another hash function."""
    scheme = forger.scheme
    yield _refused(
        forger,
        "other-digest",
        partial(forger.with_digest, "md5" if scheme.digest == "sha1" else "sha1"),
        f"It accepts another hash function than {scheme.digest}.",
    )
    if scheme.signed != "{body}":

        def only_body(parts: Parts) -> str:
            return forger.text(forger.mac(parts, only="body"))

        def only_others(parts: Parts) -> str:
            return forger.text(forger.mac(parts, only="others"))

        yield _refused(
            forger,
            "body-only",
            partial(forger.signed_with, only_body),
            f"It computes the MAC of the body alone, but the sender signs {scheme.signed}.",
        )
        yield _refused(
            forger,
            "body-left-out",
            partial(forger.signed_with, only_others),
            f"It computes the MAC without the body, but the sender signs {scheme.signed}.",
        )


def _other_times(forger: Forger) -> Iterator[HostileCase]:
    beyond = forger.tolerance + _MARGIN
    for name, ahead, side in (("stale", -beyond, "past"), ("future", beyond, "future")):
        yield _refused(
            forger,
            name,
            partial(forger.genuine, ahead=ahead),
            f"It accepts a timestamp that is too far in the {side}.",
        )
    yield _refused(
        forger,
        "garbled-timestamp",
        lambda: [forger.changed(timestamp=text) for text in _GARBLED],
        "It fails if the timestamp is no timestamp.",
    )
    is_rfc3339 = forger.scheme.timestamp_format == "rfc3339"
    yield _refused(
        forger,
        "respelled-timestamp",
        lambda: [*map(forger.at, _RESPELLED_RFC3339 if is_rfc3339 else _RESPELLED)],
        "It computes the MAC of a timestamp that it has parsed and written again.",
    )


def _beginning(text: str, part: int) -> str:
    return text[: len(text) // part]


def _split(text: str, by: str) -> str:
    middle = len(text) // 2
    return text[:middle] + by + text[middle:]
