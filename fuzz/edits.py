"""What may happen to one header's text on its way, or be done to it by a forger."""

from __future__ import annotations

from collections.abc import Callable

from fuzz import hostile
from fuzz.dice import Dice
from fuzz.hostile import CHARACTERS, SCRIPTS

#: What is done to a text; the result may be of any type.
Edit = Callable[[Dice, str], object]

_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_SAFE = str.maketrans("+/", "-_")


def _position(dice: Dice, text: str) -> int:
    return int(dice.random() * (len(text) + 1))


def _flip(dice: Dice, text: str) -> str:
    at = _position(dice, text)
    changed = chr(ord(text[at]) ^ 1 << dice.below(8)) if at < len(text) else ""
    return text[:at] + changed + text[at + 1 :]


def _insert(dice: Dice, text: str) -> str:
    at = _position(dice, text)
    return text[:at] + dice.pick(CHARACTERS) + text[at:]


def _delete(dice: Dice, text: str) -> str:
    at = _position(dice, text)
    return text[:at] + text[at + 1 :]


def _cut(dice: Dice, text: str) -> str:
    return text[: _position(dice, text)]


def _twins(dice: Dice, text: str) -> str:
    """Exchange two neighbours."""
    at = _position(dice, text)
    return text[:at] + text[at : at + 2][::-1] + text[at + 2 :]


def _prefix(dice: Dice, text: str) -> str:
    """Change what stands before the first sign of a separation."""
    for sign in ("=", ",", "_"):
        start, found, rest = text.partition(sign)
        if found:
            other = dice.pick(("", start.upper(), start.title(), start * 2, "v0", "v2", "sha1"))
            return f"{other}{dice.pick((sign, '', sign * 2, ':', ' ', '= '))}{rest}"
    return f"{dice.pick(('v1=', 'v0=', 'sha256=', 'SHA256=', 'v1,', 't='))}{text}"


def _last_letter(dice: Dice, text: str) -> str:
    """Set bits that base64 leaves unused."""
    letters = text.rstrip("=")
    if not letters or letters[-1] not in _BASE64:
        return text
    other = _BASE64[_BASE64.index(letters[-1]) ^ dice.pick((1, 2, 3))]
    return letters[:-1] + other + text[len(letters) :]


def _digits(dice: Dice, text: str) -> str:
    """Change the first digit, or the last."""
    places = [at for at, character in enumerate(text) if "0" <= character <= "9"]
    if not places:
        return f"{text}0"
    at = dice.pick((places[0], places[-1]))
    return text[:at] + dice.pick("0123456789") + text[at + 1 :]


def _entries(dice: Dice, text: str) -> str:
    """Take a text for several entries, and order, repeat or empty them."""
    separator = dice.pick(",; ")
    entries = text.split(separator)
    kind = dice.below(4)
    if kind == 0:
        entries.reverse()
    elif kind == 1:
        entries *= dice.pick((2, 8, 9, 15, 16, 17, 200))
    elif kind == 2:
        entries.insert(dice.randint(0, len(entries)), hostile.text(dice))
    else:
        entries.insert(dice.randint(0, len(entries)), "")
    return separator.join(entries)


#: All of them.
EDITS: tuple[Edit, ...] = (
    *(_flip, _flip, _flip, _insert, _insert, _delete, _cut, _twins, _prefix, _prefix),
    *(_last_letter, _last_letter, _digits, _digits, _entries, _entries, _entries),
    lambda _, text: text.lower(),
    lambda _, text: text.upper(),
    lambda _, text: text.swapcase(),
    lambda _, text: text.title(),
    lambda _, text: f" {text}",
    lambda _, text: f"{text} ",
    lambda _, text: f"\t{text}",
    lambda _, text: f"{text}\n",
    lambda _, text: f'"{text}"',
    lambda _, text: f"+{text}",
    lambda _, text: f"-{text}",
    lambda _, text: f"0{text}",
    lambda _, text: f"{text}0",
    lambda _, text: f"{text}.0",
    lambda _, text: f"{text}e0",
    lambda _, text: f"{text[:1]}_{text[1:]}",
    lambda _, text: f"{text}=",
    lambda _, text: text.rstrip("="),
    lambda _, text: text.translate(_URL_SAFE),
    lambda _, text: f"{text},{text}",
    lambda _, text: f"{text}, {text}",
    lambda _, text: f"{text} {text}",
    lambda _, text: f"{text};{text}",
    lambda _, text: text + "A" * 8193,
    lambda _, text: text + " " * 8192,
    lambda _, text: f"{text}\r\nX-Injected: 1",
    lambda _, text: text.encode("utf-8", "surrogatepass"),
    lambda _, text: text.encode("utf-16-le", "surrogatepass"),
    lambda _, text: [text],
    lambda _, text: (text, text),
    lambda _, text: {text: text},
    lambda dice, text: text.translate(dice.pick(SCRIPTS)),
    lambda dice, text: hostile.text(dice) + text,
    lambda dice, text: text + hostile.text(dice),
    lambda dice, _: hostile.value(dice),
    lambda dice, _: hostile.value(dice),
)
