"""Show values to people: times, sizes, states, and what strangers sent, as text."""

from __future__ import annotations

import math
import re
import time
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from delivery_service.account import Described
from frappe_hooksig.outbox import DeliveryRecord, DeliveryState, Endpoint

#: How much of a payload or of an answer is shown, in bytes.
MOST_SHOWN: Final = 16 * 1024
_MOST_CHARACTERS: Final = 3 * MOST_SHOWN  # with the indentation
_MOST_LEVELS: Final = 20  # that are indented

# Control characters; and what is invisible, or makes text run in another direction.
_UNSEEN: Final = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
# A string, a mark, or anything else up to one of these.
_JSON: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[][{},:]|\s+|[^][{},:"\s]+', re.DOTALL)

# An argument in a message of the library, such as `url=`; and one in brackets, which only programs
# can change.
_ARGUMENT: Final = re.compile(r"(?<![\w?&.])`?([a-z][a-z_]*)=`?(?=[\s:,;.]|$)")
_SETTING: Final = re.compile(r" \([a-z_]+=(?:, [a-z_]+=)*\)")

_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True)
class Excerpt:
    """The start of what somebody sent, as text.

    Attributes:
        text: The text.
        is_cut: Whether there is more.
        length: The length of all of it that is known, in bytes.
    """

    text: str
    is_cut: bool
    length: int


def visible(text: str) -> str:
    r"""Return a text in which every character can be seen.

    >>> visible("a\x1b[0mb\u202ec")
    'a␛[0mb⟨U+202E⟩c'
    """
    return "".join(map(_visible, text.replace("\r\n", "\n")))


def _visible(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _UNSEEN:
        return character
    code = ord(character)
    return chr(0x2400 + code) if code < 0x20 else f"⟨U+{code:04X}⟩"  # noqa: PLR2004  # its symbol


def excerpt(content: bytes) -> Excerpt:
    """Return the start of a body as text; what is no UTF-8 is replaced."""
    text = visible(content[:MOST_SHOWN].decode("utf-8", "replace"))
    return Excerpt(text[:_MOST_CHARACTERS], len(content) > MOST_SHOWN, len(content))


def indented(content: bytes) -> Excerpt:
    """Return the start of a payload with a line for each part, if it begins like JSON.

    Only white space changes: numbers, escapes and doubled names stay as they are sent.
    """
    start = excerpt(content)
    if not start.text.lstrip().startswith(("{", "[")):
        return start
    pieces: list[str] = []
    level = length = 0
    before = ""
    for each in _JSON.findall(start.text):
        if each.isspace():
            continue
        is_end = each in {"}", "]"}
        level -= is_end
        is_empty = is_end and before in {"{", "["}
        if (before in {"{", "[", ","} or is_end) and not is_empty:
            pieces.append("\n" + "  " * min(max(level, 0), _MOST_LEVELS))
        pieces.append(f"{each} " if each == ":" else each)
        level += each in {"{", "["}
        length += sum(map(len, pieces[-2:]))
        if length > _MOST_CHARACTERS:
            return Excerpt("".join(pieces), True, len(content))  # noqa: FBT003  # its field
        before = each
    return Excerpt("".join(pieces), start.is_cut, len(content))


def moment(seconds: float) -> str:
    """Return a time in Unix seconds for the attribute `datetime`.

    >>> moment(1700000000.7)
    '2023-11-14T22:13:20Z'
    """
    return datetime.fromtimestamp(int(seconds), timezone.utc).isoformat().replace("+00:00", "Z")


def date(seconds: float) -> str:
    """Return a time in Unix seconds for people.

    >>> date(1700000000.7)
    '14 Nov 2023, 22:13:20 UTC'
    """
    found = datetime.fromtimestamp(int(seconds), timezone.utc)
    return f"{found.day} {found:%b %Y, %H:%M:%S} UTC"


def relative(seconds: float, now: float | None = None) -> str:
    """Return how far a time is from now.

    >>> relative(0, now=90), relative(7200, now=0), relative(5, now=5)
    ('1 min ago', 'in 2 h', 'now')
    """
    distance = seconds - (time.time() if now is None else now)
    for size, unit in _UNITS:
        if abs(distance) >= size:
            amount = f"{int(abs(distance) // size)} {unit}"
            return f"in {amount}" if distance > 0 else f"{amount} ago"
    return "now"


def is_past(seconds: float) -> bool:
    """Whether a time in Unix seconds has passed."""
    return seconds <= time.time()


def duration(seconds: float) -> str:
    """Return a duration with its unit.

    >>> duration(0.0123), duration(2.5)
    ('12 ms', '2.5 s')
    """
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def wait(seconds: float) -> str:
    """Return when to try again. It is rounded up, so that it is not too early.

    >>> wait(5), wait(61), wait(3587), wait(3601)
    ('in a minute', 'in 2 minutes', 'in an hour', 'in 2 hours')
    """
    minutes = math.ceil(seconds / 60)
    hours = math.ceil(minutes / 60)
    if minutes < 60:  # noqa: PLR2004
        return "in a minute" if minutes <= 1 else f"in {minutes} minutes"
    return "in an hour" if hours == 1 else f"in {hours} hours"


def size(length: int) -> str:
    """Return a number of bytes with its unit.

    >>> size(1), size(512), size(2048)
    ('1 byte', '512 bytes', '2.0 KiB')
    """
    if length < 1024:  # noqa: PLR2004
        return "1 byte" if length == 1 else f"{length} bytes"
    return f"{length / 1024:.1f} KiB"


#: The states of deliveries, in words.
STATES: Final = {
    DeliveryState.WAITING: "Waiting",
    DeliveryState.DUE: "To be sent or tried again",
    DeliveryState.CLAIMED: "Sending",
    DeliveryState.DELIVERED: "Delivered",
    DeliveryState.DEAD: "Given up",
    DeliveryState.CANCELLED: "Cancelled",
}

#: What an attempt came to, in words.
OUTCOMES: Final = {
    "delivered": "Delivered",
    "gone": "Gone",
    "refused": "Refused",
    "unreachable": "No answer",
    "blocked": "No answer",
}


def state_of(delivery: DeliveryRecord) -> str:
    """Return the state of a delivery in words."""
    if delivery.state == DeliveryState.DUE:
        return "To be tried again" if delivery.attempts else "To be sent"
    return STATES[delivery.state]


def health_of(endpoint: Endpoint) -> str:
    """Return the state of an endpoint; `failing` if it is active and its last attempt failed."""
    return "failing" if endpoint.state == "active" and endpoint.failures else endpoint.state


def name_of(described: Described) -> str:
    """Return how an endpoint is called: what its tenant wrote, else its URL."""
    return visible(described.description or described.endpoint.url)


def progress(delivery: DeliveryRecord, endpoint: Endpoint | None) -> str:
    """Return a sentence about what has become of a delivery, and what comes next."""
    tried = f"{delivery.attempts} attempt{'' if delivery.attempts == 1 else 's'}"
    match delivery.state:
        case DeliveryState.DELIVERED:
            said = f"The receiver has it, after {tried}."
        case DeliveryState.DEAD:
            said = f"It was given up after {tried}. Send it again when the receiver is mended."
        case DeliveryState.CANCELLED:
            said = "It was cancelled, because its endpoint was deleted."
        case DeliveryState.WAITING:
            said = "It waits until the message with the same key before it has arrived."
        case DeliveryState.CLAIMED:
            said = "It is being sent."
        case _ if endpoint is not None and endpoint.state != "active":
            said = f"It waits: the endpoint is {endpoint.state}. Resume the endpoint to send it."
        case _ if is_past(delivery.due_at):
            said = "It is to be sent now."
        case _:
            said = f"After {tried}, the next one is {relative(delivery.due_at)}."
    return said


def label_of(name: str) -> str:
    """Return what the page calls a field or an argument of the library.

    >>> label_of("url"), label_of("event_types")
    ('the URL', 'the event types')
    """
    return "the " + ("URL" if name == "url" else name.replace("_", " "))


def argument_of(text: str) -> str:
    """Return the argument that a message of the library names first; empty without one.

    >>> argument_of("url= cannot be used"), argument_of("no such endpoint")
    ('url', '')
    """
    found = _ARGUMENT.search(text)
    return found[1] if found else ""


def worded(text: str) -> str:
    """Return a message of the library without the names of its arguments.

    >>> worded("`url=` cannot be used: it is longer than 2000 characters (max_url=)")
    'the URL cannot be used: it is longer than 2000 characters'
    """
    return _ARGUMENT.sub(lambda found: label_of(found[1]), _SETTING.sub("", text))


def sentence(text: str) -> str:
    """Return a message as a sentence, in which every character can be seen.

    >>> sentence("there is no endpoint ep_1")
    'There is no endpoint ep_1.'
    """
    shown = visible(text)
    return shown[:1].upper() + shown[1:] + "." * (not shown.endswith((".", "!", "?")))
