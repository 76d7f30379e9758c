"""Texts and values that strangers send, or that break what reads them."""

from __future__ import annotations

from fuzz.dice import Dice

#: Characters that look like others, end something, or have no form in some encoding.
CHARACTERS: tuple[str, ...] = (
    *"\0\t\n\r\x0b\x0c\x1b\x7f\x80\x85\xa0\xff \"'%&+,-./:;<=>@\\_{|}~",
    *"\u0130\u017f\u200b\u2028\u202e\u212a\ufeff\ufffd\uff11\uff21\u0661\u00b2\u2160",
    *("\ud800", "\udc80", "\udcff", "\U0001f600", "\r\n", "\r\n\r\n", "%00", "{body}", "{0}"),
)

#: Whole values, of types that headers do not have too.
VALUES: tuple[object, ...] = (
    *("", " ", ",", "=", ";", "\0", "None", "null", "0", "-1", "nan", "v1=", "t=", "sha256="),
    *(b"", b"\0", b"\xff\xfe", b"v1=", None, 0, 1, -1, 1.5, True, [], [""], (), {}, b"\x80" * 9),
    *("," * 100, "v1=" * 99, "A" * 8193, " " * 8192, "\u212a" * 40, "é" * 64, "a" * 64, "0" * 64),
)

#: Digits that int() reads, but no sender writes.
SCRIPTS = tuple(
    str.maketrans("0123456789", digits)
    for digits in ("０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "⁰¹²³⁴⁵⁶⁷⁸⁹", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗")
)

PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def text(dice: Dice) -> str:
    """Return a text of any characters, mostly short."""
    kind = dice.below(8)
    if kind == 0:
        return dice.pick(CHARACTERS)
    if kind == 1:
        return "".join(map(chr, dice.choices(range(0xE000), k=dice.below(20))))
    if kind == 2:
        return "".join(dice.choices(CHARACTERS, k=dice.below(12)))
    if kind == 3:
        return dice.pick(PRINTABLE) * dice.pick((1, 63, 64, 65, 8191, 8192, 8193, 20_000))
    return "".join(dice.choices(PRINTABLE, k=dice.below(70)))


def value(dice: Dice) -> object:
    """Return what a header may hold where something goes wrong."""
    kind = dice.random()
    if kind < 0.5:
        return dice.pick(VALUES)
    return text(dice) if kind < 0.9 else dice.randbytes(dice.below(70))


def body(dice: Dice) -> bytes:
    """Return a body: JSON, nothing, or any bytes."""
    kind = dice.below(6)
    if kind == 0:
        return dice.pick((b"", b"{}", b"[]", b"\0", b"\xef\xbb\xbf{}", b"\n", b"a=1&b=2", b"."))
    if kind == 1:
        return dice.randbytes(dice.pick((1, 55, 56, 63, 64, 65, 200, 3000)))
    return f'{{"name": "SO-{dice.below(10**5):05}", "n": {dice.random()}}}'.encode()


def word(dice: Dice, shortest: int, longest: int) -> str:
    """Return letters and digits."""
    return "".join(dice.choices(WORD, k=dice.randint(shortest, longest)))
