"""Random payloads, the same for the same seed, of the kinds that senders are asked to send."""

from __future__ import annotations

import json
from random import Random
from typing import Any

_LETTERS = (
    "abc XYZ 019 äéßñł 日本語 עברית \U0001f600 {}[]:,\"'\\/.&$%<>=+-_#;\t\r\n\x7f\u2028\ufeff"
)
_CHARSETS = ("utf-8", "utf-8-sig", "utf-16", "latin-1")


class Payload:
    """One thing to send, as each way to send wants it.

    Attributes:
        value: A value for `json=`.
        text: A str.
        form: Names and values for a form.
        blob: Bytes, in some charset or in none.
    """

    def __init__(self, dice: Random, *, is_text: bool = False) -> None:
        """Draw it.

        Args:
            dice: Decides.
            is_text: Whether the bytes must be UTF-8 without NULs, as a bare hash wants them.
        """
        self.value = {"name": text(dice), "more": value(dice)}
        self.text = text(dice)
        self.form = {text(dice) or "a": text(dice), "b": text(dice)}
        charset = "utf-8" if is_text else dice.choice([*_CHARSETS, "json", "none"])
        if charset == "json":
            self.blob = json.dumps(self.value, indent=dice.choice([None, 1])).encode()
        elif charset == "none":
            self.blob = dice.randbytes(dice.choice([0, 1, 300, 70_000]))
        else:
            self.blob = text(dice).encode(charset, "ignore")


def text(dice: Random) -> str:
    """Return some text, which may be empty."""
    return "".join(dice.choices(_LETTERS, k=dice.choice([0, 1, 8, 40])))


def value(dice: Random, depth: int = 3) -> Any:
    """Return something that JSON can express."""
    kind = dice.randrange(8 if depth else 6)
    if kind > 5:
        several = [value(dice, depth - 1) for _ in range(dice.randrange(4))]
        return several if kind > 6 else {f"{text(dice)}{n}": each for n, each in enumerate(several)}
    return [
        None,
        dice.random() < 0.5,
        dice.randrange(-(2**70), 2**70),
        dice.random() * 10 ** dice.randrange(-20, 20),
        text(dice),
        "\0\x1f" + text(dice),
    ][kind]
