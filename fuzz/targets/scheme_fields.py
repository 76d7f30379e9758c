"""Schemes: refused if they contradict themselves, else good to sign with and without ambiguity."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from frappe_hooksig import (
    ConfigurationError,
    PayloadError,
    Scheme,
    Signer,
    VerificationError,
    Verifier,
)
from frappe_hooksig._wire import wire_of
from frappe_hooksig.scheme import Digest, Encoding, Separator, TimestampFormat
from frappe_hooksig.secret import SecretFormat
from fuzz import hostile
from fuzz.dice import Dice
from fuzz.oracle import Message, content, is_text, mac, signed_headers
from fuzz.requests import NOW, URL, spelled
from fuzz.seams import same_content
from fuzz.target import ACCEPTED, Escape, Target
from fuzz.targets.verification import secret_of

_KEY = b"Kn7wq2Zt9Xc4Vb6Nm1Lp8Rd5Gh3Js0Fy"

_PARTS = ("{body}", "{timestamp}", "{id}", "{method}", "{url}")
_BETWEEN = (
    *(
        "",
        "",
        "",
        ".",
        ".",
        ":",
        "\n",
        "|",
        " ",
        "X",
        "P",
        "a",
        "m",
        "ab",
        ".X.",
        "1",
        "-",
        "T",
        "Z",
    ),
    *(
        "{{",
        "}}",
        "{",
        "}",
        "{}",
        "{0}",
        "{body}",
        "{body!r}",
        "{body:>9}",
        "{x}",
        "é",
        "\0",
        "\ud800",
    ),
)
_NAMES = (
    *(
        "X-Signed",
        "X-Time",
        "X-Id",
        "x-signed",
        "A",
        "",
        "X Signed",
        "X-Signed:",
        "X-É",
        "x_y",
        "\n",
    ),
)
_PREFIXES = (
    "",
    "",
    "v1=",
    "v1,",
    "sha256=",
    "t=",
    "ts=",
    "=",
    ",",
    ";",
    " ",
    "v1= ",
    "a",
    "v",
    "v1",
    "é",
    "{}",
)
_ODD: tuple[object, ...] = (
    *(
        None,
        0,
        -1,
        1,
        1.5,
        True,
        "",
        "x",
        b"x",
        [],
        (),
        {},
        ["X-A"],
        ("X-A", "X-B"),
        ("X-A", "x-a"),
    ),
    ("text", "text"),
    *(
        ("X-A", None),
        float("nan"),
        float("inf"),
        1e300,
        10**400,
        -(10**400),
        "text",
        "A" * 9000,
        {"a"},
    ),
)
_IDS = ("msg_1", "1", "a", "Z", "0.1", "7e", "X", "~", "#", "2023-11-14T22:13:20Z")
_METHODS = ("POST", "PXOST", "XPOST", "POSTX", "PPOST", "APOST", "TPOST", "Z")


class Fields(NamedTuple):
    """The arguments of a scheme, and a message to sign under it."""

    fields: dict[str, Any]
    body: bytes
    seconds: float
    time: str
    ids: list[str]
    method: str


class SchemeFields(Target):
    """`Scheme`."""

    name = "schemes"

    def cases(self, dice: Dice) -> Iterator[Fields]:
        """Yield fields that fit, with some that do not."""
        while True:
            fields = _fitting(dice)
            for _ in range(dice.pick((0, 0, 0, 1, 1, 2, 4))):
                name = dice.pick([*fields])
                fields[name] = _odd(dice, name)
            seconds = NOW
            spelling = Scheme(
                name="time",
                signature_header="X",
                encoding="hex",
                timestamp_format=_known(fields["timestamp_format"]),
            )
            time = spelled(dice, seconds, spelling)
            texts = (
                *re.split(r"{\w+}", str(fields["signed"])),
                *(*_IDS, "POST", time, time, ".", "X", URL),
            )
            body = "".join(dice.pick(texts) for _ in range(dice.below(6))).encode(
                "utf-8", "surrogatepass"
            )
            ids = ["".join(dice.pick(texts) for _ in range(1 + dice.below(3))) for _ in range(4)]
            yield Fields(fields, body, seconds, time, [*ids, *_IDS], dice.pick(_METHODS))

    def judge(self, case: Fields) -> str:
        """Make the scheme, sign and verify with it, and look for another reading."""
        try:
            scheme = Scheme(**case.fields)
        except ConfigurationError as error:
            str(error)
            return "configuration-error"
        if scheme != Scheme(**case.fields) or hash(scheme) != hash(Scheme(**case.fields)):
            msg = "made twice, it is not the same"
            raise Escape(msg)
        used = scheme.signed
        message = Message(
            case.body if "{body}" in used else b"",
            case.time if "{timestamp}" in used else None,
            next(filter(wire_of(scheme).is_id, case.ids)) if "{id}" in used else None,
            case.method if "{method}" in used else None,
            URL if "{url}" in used else None,
        )
        secret = secret_of(_KEY, scheme.secret_formats[0])
        verifier = Verifier(secret, scheme=scheme, clock=lambda: NOW)
        try:
            signed = Signer(secret, scheme=scheme).sign(
                case.body,
                id=message.id,
                timestamp=None if message.time is None else case.seconds,
                method=message.method,
                url=message.url,
            )
        except PayloadError:
            if scheme.algorithm == "hmac" or is_text(content(scheme, message)):
                raise
            return "payload-error"
        verifier.verify(case.body, signed.headers, method=message.method, url=message.url)
        code = mac(scheme, _KEY, message)
        headers = signed_headers(scheme, [code], message)
        verifier.verify(case.body, headers, method=message.method, url=message.url)
        for other in same_content(scheme, content(scheme, message), URL):
            if other == message:
                continue
            headers = signed_headers(scheme, [code], other)
            try:
                verifier.verify(other.body, headers, method=other.method, url=other.url)
            except VerificationError:
                continue
            msg = f"{message!r} was signed, and {other!r} is accepted"
            raise Escape(msg)
        return ACCEPTED


def _fitting(dice: Dice) -> dict[str, Any]:
    parts = [part for part in _PARTS if part == "{body}" or dice.chance(0.4)]
    parts.sort(key=lambda _: dice.random())
    signed = dice.pick(("", "", "", "v0:", "X"))
    for at, part in enumerate(parts):
        signed += part + (dice.pick(_BETWEEN[:19]) if at < len(parts) - 1 else "")
    signed += dice.pick(("", "", "", "", ".", "X"))
    timed = "{timestamp}" in parts
    beside = timed and dice.chance(0.3)
    first = beside and dice.chance(0.4)
    return {
        "name": "made-up",
        "signature_header": "X-Signed"
        if beside
        else dice.pick(("X-Signed", "X-Signed", ("X-One", "X-Two"))),
        "signed": signed,
        "encoding": dice.pick(get_args(Encoding)),
        "algorithm": "hash" if dice.chance(0.2) else "hmac",
        "digest": dice.pick(get_args(Digest)),
        "prefix": ""
        if first
        else dice.pick(("v1=", "sha256=", "mac "))
        if beside
        else dice.pick(("", "v1=", "v1,", "HMAC ")),
        "separator": dice.pick((" ", ",", ";", "&")) if beside else "",
        "timestamp_header": "X-Time" if timed and not beside else None,
        "timestamp_prefix": "t=" if beside and not first else "",
        "timestamp_is_first": first,
        "timestamp_format": dice.pick(get_args(TimestampFormat)),
        "tolerance": dice.pick((300, 0.5, 10**6, 300.0)),
        "id_header": "X-Id" if "{id}" in parts else None,
        "secret_format": dice.pick(
            (*get_args(SecretFormat), ("text", "whsec"), ("whsec", "base64", "hex"))
        ),
        "rewritten_characters": dice.pick(("", "<>&", "é")),
        "max_signatures": dice.pick((16, 2, 3)),
        "signs_decoded_body": dice.chance(0.1),
    }


def _odd(dice: Dice, name: str) -> object:
    kind = dice.below(5)
    if kind == 0:
        return dice.pick(_ODD)
    if name == "signed":
        return "".join(dice.pick((*_PARTS, *_BETWEEN)) for _ in range(dice.below(7)))
    if name.endswith("prefix"):
        return dice.pick(_PREFIXES)
    if name == "separator":
        return dice.pick((*get_args(Separator), "\t", ", ", "|"))
    if name.endswith("header"):
        several = tuple(dice.pick(_NAMES) for _ in range(dice.below(4)))
        return dice.pick((dice.pick(_NAMES), several, [*several]))
    return hostile.value(dice)


def _known(spelling: object) -> TimestampFormat:
    return next((each for each in get_args(TimestampFormat) if each == spelling), "unix")
