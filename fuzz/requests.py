"""Requests: signed ones, what can be done to them, and garbage."""

from __future__ import annotations

import gzip
import zlib
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from frappe_hooksig import Scheme
from fuzz import hostile
from fuzz.carriers import drawn
from fuzz.dice import Dice
from fuzz.edits import EDITS
from fuzz.extension import extended
from fuzz.oracle import Message, deciding, is_text, mac, signed_headers, template, written
from fuzz.oracle import content as signed_content
from fuzz.seams import same_content

#: When all requests arrive, in Unix seconds.
NOW = 1_700_000_000

URL = "https://example.com/webhook?a=1&b=%2F"

_REQUESTS_PER_SENDER = 32
_METHODS = ("POST", "PUT", "PATCH", "GET", "DELETE", "A")


class Request(NamedTuple):
    """One request, and what was signed before it was made.

    Attributes:
        carrier: What keeps the headers: a name in `CARRIERS`.
        pairs: The headers.
        body: The body.
        method: The HTTP method.
        url: The URL as the receiver has it.
        cuts: Where the body is cut into chunks.
        receiver: Which of the receivers gets it.
        genuine: Whether it must be accepted.
        signed: All that somebody with a configured secret has signed.
    """

    carrier: str
    pairs: list[tuple[str, object]]
    body: bytes
    method: str
    url: str
    cuts: tuple[int, ...]
    receiver: int
    genuine: bool
    signed: tuple[Message, ...]


class Sent(NamedTuple):
    """A signed request before anything happens to it."""

    message: Message
    code: bytes
    headers: list[tuple[str, object]]
    body: bytes
    method: str
    url: str
    genuine: bool
    others: list[Message]  # which have the same MAC
    key_length: int


class Draft:
    """A request that is being changed."""

    __slots__ = ("body", "genuine", "method", "pairs", "sent", "url")

    def __init__(self, sent: Sent) -> None:
        self.sent = sent
        self.pairs = list(sent.headers)
        self.body = sent.body
        self.method = sent.method
        self.url = sent.url
        self.genuine = sent.genuine

    def index(self, dice: Dice) -> int:
        """Return the place of some header, or -1 if there is none."""
        return int(dice.random() * len(self.pairs)) if self.pairs else -1


def requests(
    dice: Dice, scheme: Scheme, receivers: Sequence[Sequence[tuple[str | None, bytes]]]
) -> Iterator[Request]:
    """Yield requests without end.

    Args:
        dice: Where they come from.
        scheme: How they are signed.
        receivers: The keys of each receiver, with the ids of their secrets.
    """
    while True:
        receiver = dice.below(len(receivers))
        sent = _sent(dice, scheme, [key for _, key in receivers[receiver]])
        signed = tuple(each.message for each in sent if each.genuine or each.code)
        for _ in range(_REQUESTS_PER_SENDER):
            draft = Draft(sent[0] if dice.chance(0.7) else dice.pick(sent))
            if dice.chance(0.04):
                _garbage(dice, scheme, draft)
            for _ in range(dice.pick((0, 1, 1, 1, 2, 2, 3, 4))):
                dice.pick(_CHANGES)(dice, scheme, draft)
            size = len(draft.body)
            yield Request(
                drawn(dice),
                draft.pairs,
                draft.body,
                draft.method,
                draft.url,
                tuple(sorted(int(dice.random() * (size + 1)) for _ in range(dice.pick((0, 1, 3))))),
                receiver,
                draft.genuine,
                signed,
            )


def _sent(dice: Dice, scheme: Scheme, keys: list[bytes]) -> list[Sent]:
    """Return requests of one sender: the first is right, the others are not all so."""
    method = dice.pick(_METHODS)
    delivery_id = dice.pick(("msg_", "", "1", "evt-")) + hostile.word(dice, 1, 30)
    # Some bodies look like other parts, so that the seams could be elsewhere.
    seams = dice.chance(0.2) and len(template(scheme)) > 3
    body = _like_parts(dice, scheme, delivery_id) if seams else hostile.body(dice)
    key = dice.pick(keys)
    late = int(scheme.tolerance)

    def made(
        with_key: bytes, content: bytes, seconds: float, *, genuine: bool, known: bool = True
    ) -> Sent:
        uses = scheme.signed
        message = Message(
            content if "{body}" in uses else b"",
            spelled(dice, seconds, scheme) if "{timestamp}" in uses else None,
            delivery_id if "{id}" in uses else None,
            method if "{method}" in uses else None,
            URL if "{url}" in uses else None,
        )
        code = mac(scheme, with_key, message)
        codes = [code]
        if scheme.separator and dice.chance(0.3):  # others are tried too
            codes.insert(dice.below(2), dice.randbytes(len(code)))
        headers: list[tuple[str, object]] = [*signed_headers(scheme, codes, message).items()]
        if not isinstance(scheme.signature_header, str) and dice.chance(0.5):
            # The right one may stand in any of the numbered headers.
            headers[0] = (dice.pick(scheme.signature_header), headers[0][1])
        headers.insert(dice.below(2), ("Content-Type", "application/json"))
        others: list[Message] = []
        if seams and content == body:
            others = same_content(scheme, signed_content(scheme, message), URL)
            others = [other for other in others if other != message]
        known_code = code if known else b""
        if scheme.algorithm == "hash":
            genuine = genuine and is_text(signed_content(scheme, message))
        if scheme.signs_decoded_body and dice.chance(0.7):
            content = gzip.compress(content, dice.below(10), mtime=0)
            headers.append(("Content-Encoding", dice.pick(("gzip", "gzip", "GZIP"))))
        length = len(with_key)
        return Sent(message, known_code, headers, content, method, URL, genuine, others, length)

    timed = "{timestamp}" in scheme.signed
    several = [made(key, body, NOW, genuine=True)]
    several.append(made(dice.pick(keys), hostile.body(dice), NOW, genuine=True))
    if timed:
        several += [
            made(key, body, NOW - late, genuine=True),
            made(key, body, NOW + late, genuine=True),
            made(key, body, NOW - late - dice.pick((1, 10**6)), genuine=False),
            made(key, body, NOW + late + dice.pick((1, 10**6)), genuine=False),
        ]
    several.append(made(dice.randbytes(32), body, NOW, genuine=False, known=False))
    return several


def _like_parts(dice: Dice, scheme: Scheme, delivery_id: str) -> bytes:
    texts = [*template(scheme)[::2], *template(scheme)[2:-1:2], *_METHODS, delivery_id, "{}"]
    texts += [spelled(dice, NOW + dice.below(3), scheme) for _ in range(4)]
    return "".join(dice.pick(texts) for _ in range(1 + dice.below(6))).encode()


def spelled(dice: Dice, seconds: float, scheme: Scheme) -> str:
    """Return a time as the scheme has it."""
    if scheme.timestamp_format == "unix":
        return str(int(seconds))
    if scheme.timestamp_format == "unix-ms":
        return str(int(seconds * 1000))
    zone = timezone(timedelta(minutes=dice.pick((0, 0, 60, -330, 1439, -1439))))
    text = datetime.fromtimestamp(seconds, zone).isoformat()
    return text.replace("+00:00", "Z") if dice.chance(0.5) else text


def _edit(dice: Dice, _: Scheme, draft: Draft) -> None:
    at = draft.index(dice)
    if at < 0:
        return
    name, value = draft.pairs[at]
    if type(value) is not str:
        value = value.decode("latin-1") if isinstance(value, bytes) else ""
    draft.pairs[at] = (name, dice.pick(EDITS)(dice, value))
    draft.genuine = draft.genuine and name == "Content-Type"


def _double(dice: Dice, _: Scheme, draft: Draft) -> None:
    at = draft.index(dice)
    if at < 0:
        return
    name, value = draft.pairs[at]
    kind = dice.below(4)
    if kind == 1:
        name = _respelled(dice, name)
    elif kind == 2 and isinstance(value, str):
        value = dice.pick(EDITS)(dice, value)
    elif kind == 3:
        value = hostile.value(dice)
    draft.pairs.insert(dice.randint(0, len(draft.pairs)), (name, value))
    draft.genuine = draft.genuine and name == "Content-Type"


def _drop(dice: Dice, _: Scheme, draft: Draft) -> None:
    at = draft.index(dice)
    if at >= 0:
        name, _value = draft.pairs.pop(at)
        draft.genuine = draft.genuine and name == "Content-Type"


def _respell(dice: Dice, _: Scheme, draft: Draft) -> None:
    """Spell a name in another case, as servers do."""
    at = draft.index(dice)
    if at >= 0 and draft.pairs[at][0].isascii():
        name, value = draft.pairs[at]
        draft.pairs[at] = (dice.pick((name.lower(), name.upper(), name.title())), value)


def _respelled(dice: Dice, name: str) -> str:
    kind = dice.below(4)
    if kind == 0:
        return name.swapcase()
    if kind == 1:
        return "".join(dice.pick((each.lower(), each.upper())) for each in name)
    return name.lower() if kind == 2 else name.upper()


def _look_alike(dice: Dice, scheme: Scheme, draft: Draft) -> None:
    """Add a header whose name is nearly one that decides: it counts for nothing."""
    names = deciding(scheme)
    name = dice.pick(names)
    other = dice.pick(
        (
            f"{name}\0",
            f" {name}",
            f"{name} ",
            f"{name}:",
            f"{name}-",
            f"X-{name}",
            name[:-1],
            name.replace("-", "_"),
            name.replace("k", "\u212a").replace("K", "\u212a"),
            name.replace("s", "\u017f").replace("S", "\u017f"),
            name.replace("i", "\u0130").replace("I", "\u0131"),
            name.translate({ord("-"): "\u2010"}),
        )
    )
    if other not in names:  # of numbered ones, 12 without its last digit is 1
        draft.pairs.insert(dice.randint(0, len(draft.pairs)), (other, hostile.value(dice)))


def _more(dice: Dice, _: Scheme, draft: Draft) -> None:
    """Add headers that are none of the scheme's business."""
    for _more in range(dice.pick((1, 2, 30))):
        draft.pairs.insert(dice.randint(0, len(draft.pairs)), ("X-Other", hostile.value(dice)))


def _swap(dice: Dice, _: Scheme, draft: Draft) -> None:
    """Exchange the values of two headers."""
    one, two = draft.index(dice), draft.index(dice)
    pairs = draft.pairs
    if one != two:
        (name, value), (other, another) = pairs[one], pairs[two]
        pairs[one], pairs[two] = (name, another), (other, value)
        draft.genuine = False


def _body(dice: Dice, scheme: Scheme, draft: Draft) -> None:
    body = draft.body
    kind = dice.below(8)
    if kind == 0 and body:
        changed = bytearray(body)
        changed[dice.below(len(body))] ^= 1 << dice.below(8)
        body = bytes(changed)
    elif kind == 1:
        body = body[: dice.randint(0, len(body))]
    elif kind == 2:
        body += dice.pick((b"\n", b"\r\n", b"\0", b" ", b"}", body))
    elif kind == 3:
        body = dice.pick((b"\xef\xbb\xbf", b" ", b"\0", b".", b"1")) + body
    elif kind == 4:
        body = hostile.body(dice)
    elif kind == 5:
        body = body.replace(b" ", b"")
    elif kind == 6:
        body = body.strip() + dice.pick((b"", b"\n"))
    else:
        body = body[dice.randint(0, 3) :]
    # Where it is not signed, any other has to be accepted as well.
    draft.genuine = draft.genuine and (body == draft.body or "{body}" not in scheme.signed)
    draft.body = body


def _compress(dice: Dice, scheme: Scheme, draft: Draft) -> None:
    """Compress a body in a way that the sender does not, or say that it is compressed."""
    body = draft.body
    if not scheme.signs_decoded_body:
        return
    draft.body = dice.pick(
        (
            gzip.compress(body, mtime=0),
            zlib.compress(body),
            body + gzip.compress(b"", mtime=0),
            gzip.compress(b"", mtime=0) + body,
            body + b"\0",
            body[:-4],
            gzip.compress(bytes(3_000_000), mtime=0),
            body,
        )
    )
    if draft.body == body or dice.chance(0.5):
        coding = dice.pick(("gzip", "deflate", "gzip, gzip", "identity", "", "x-gzip", "br"))
        draft.pairs.append(("Content-Encoding", coding))
    draft.genuine = False


def _move(dice: Dice, scheme: Scheme, draft: Draft) -> None:
    """Move bytes across a seam of what was signed: the MAC would stay right."""
    names = template(scheme)[1::2]
    if len(names) < 2:
        return
    if draft.sent.others:
        _present(scheme, draft, dice.pick(draft.sent.others))
        return
    texts = template(scheme)
    at = dice.below(len(names) - 1)
    if "url" in names[at : at + 2]:
        return  # the receiver knows it: nobody can move anything into it
    message = draft.sent.message
    parts = {
        "body": message.body.decode("latin-1"),
        "timestamp": message.time or "",
        "id": message.id or "",
        "method": message.method or "",
    }
    left, between, right = parts[names[at]], texts[2 * at + 2], parts[names[at + 1]]
    joined = left + between + right
    cut = dice.pick((len(left) - 1, len(left) + 1, dice.randint(0, len(joined))))
    cut = max(cut, 0)
    end = cut + len(between)
    if not joined.startswith(between, cut):
        end = cut
    parts[names[at]], parts[names[at + 1]] = joined[:cut], joined[end:]
    body = parts["body"].encode("latin-1", "replace")
    other = Message(body, parts["timestamp"], parts["id"], parts["method"])
    _present(scheme, draft, other)


def _present(scheme: Scheme, draft: Draft, other: Message) -> None:
    """Put another message under the same signature."""
    time = draft.sent.message.time
    for position, (name, value) in enumerate(draft.pairs):
        if name == scheme.timestamp_header:
            draft.pairs[position] = (name, other.time)
        elif name == scheme.id_header:
            draft.pairs[position] = (name, other.id)
        elif isinstance(value, str) and time and other.time:  # beside the signature
            draft.pairs[position] = (name, value.replace(time, other.time))
    draft.body = other.body
    draft.method = other.method or draft.method
    draft.genuine = False


def _signature(dice: Dice, scheme: Scheme, draft: Draft) -> None:
    """Write the right MAC wrongly, or write a wrong one rightly."""
    right = draft.sent.code or dice.randbytes(20)
    other = dice.pick(
        (
            right.hex().upper(),
            right.hex(),
            written(scheme, right)[:-1],
            written(scheme, right)[: len(right)],
            written(scheme, right) * 2,
            written(scheme, right[::-1]),
            written(scheme, right[:-1]),
            written(scheme, right[:10]),
            written(scheme, b""),
            written(scheme, b"\0" * len(right)),
            _other_alphabet(scheme, right),
            _other_alphabet(scheme, right).rstrip("="),
            b64encode(right).decode(),
            urlsafe_b64encode(right).decode(),
            repr(right),
        )
    )
    names = scheme.signature_header
    wanted = names if isinstance(names, str) else names[0]
    for at, (name, value) in enumerate(draft.pairs):
        if name == wanted and isinstance(value, str):
            draft.pairs[at] = (name, value.replace(written(scheme, right), other))
    draft.genuine = False


def _extend(dice: Dice, scheme: Scheme, draft: Draft) -> None:
    """Compute the MAC of a longer body without the secret, where there is no HMAC."""
    sent = draft.sent
    if scheme.algorithm == "hmac" or not sent.code or not scheme.signed.endswith("{body}"):
        return
    length = sent.key_length + len(signed_content(scheme, sent.message))
    suffix, code = extended(scheme.digest, sent.code, length, hostile.body(dice))
    draft.pairs = [
        (name, value.replace(written(scheme, sent.code), written(scheme, code)))
        if isinstance(value, str)
        else (name, value)
        for name, value in draft.pairs
    ]
    draft.body = sent.body + suffix
    draft.genuine = False


def _other_alphabet(scheme: Scheme, code: bytes) -> str:
    text = written(scheme, code)
    if scheme.encoding == "hex":
        return b64decode(code.hex() + "=" * (-len(code.hex()) % 4)).hex()
    other = text.translate(str.maketrans("+/-_", "-_+/"))
    return other if scheme.encoding == "base64" else other + "=" * (-len(other) % 4)


def _upper(dice: Dice, scheme: Scheme, draft: Draft) -> None:
    """Write hex in capitals, which verifies too."""
    text = draft.sent.code.hex()
    if scheme.encoding == "hex" and text:
        other = text.upper() if dice.chance(0.5) else text.title()
        draft.pairs = [
            (name, value.replace(text, other) if isinstance(value, str) else value)
            for name, value in draft.pairs
        ]


def _spaces(dice: Dice, scheme: Scheme, draft: Draft) -> None:
    """Put spaces behind separators, which verifies too."""
    if scheme.separator:
        spaces = scheme.separator + " " * dice.pick((1, 1, 2, 5))
        names = deciding(scheme)
        draft.pairs = [
            (
                name,
                value.replace(scheme.separator, spaces)
                if name in names and isinstance(value, str)
                else value,
            )
            for name, value in draft.pairs
        ]
        draft.genuine = draft.genuine and scheme.id_header is None


def _method(dice: Dice, scheme: Scheme, draft: Draft) -> None:
    draft.method = dice.pick(
        (draft.method.lower(), "", f"{draft.method} ", f"{draft.method}\n", hostile.text(dice))
    )
    draft.genuine = draft.genuine and "{method}" not in scheme.signed


def _url(dice: Dice, scheme: Scheme, draft: Draft) -> None:
    draft.url = dice.pick((f"{draft.url}/", draft.url[:-1], "", hostile.text(dice)))
    draft.genuine = draft.genuine and "{url}" not in scheme.signed


_CHANGES: tuple[Callable[[Dice, Scheme, Draft], None], ...] = (
    *([_edit] * 14),
    *([_double] * 3),
    *(
        _drop,
        _respell,
        _respell,
        _look_alike,
        _look_alike,
        _more,
        _swap,
        _body,
        _body,
        _compress,
        _move,
        _move,
    ),
    *(_signature, _signature, _extend, _upper, _spaces, _method, _url),
)


def _garbage(dice: Dice, scheme: Scheme, draft: Draft) -> None:
    """Make all of it up."""
    names = deciding(scheme)
    draft.pairs = [
        (dice.pick(names) if dice.chance(0.8) else hostile.text(dice), value)
        for value in [hostile.value(dice) for _ in range(dice.below(6))]
    ]
    draft.body = hostile.body(dice)
    draft.method = dice.pick((draft.method, hostile.text(dice)))
    draft.genuine = False
