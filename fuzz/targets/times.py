"""Times: reading them, and writing them so that they are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from frappe_hooksig import ConfigurationError
from frappe_hooksig._timestamp import TimestampFormat, read_time, spell_time
from fuzz import hostile
from fuzz.dice import Dice
from fuzz.edits import EDITS
from fuzz.oracle import read_seconds
from fuzz.requests import NOW
from fuzz.target import ACCEPTED, Escape, Target

_SPELLINGS: tuple[TimestampFormat, ...] = ("unix", "unix-ms", "rfc3339")

# Of what a date and time has to be refused for, and just not.
_NUMBERS = ("00", "01", "02", "04", "06", "12", "13", "23", "24", "28", "29", "30", "31", "32")
_YEARS = ("0000", "0001", "1600", "1900", "1970", "2000", "2023", "2024", "2100", "9999")
_OFFSETS = ("Z", "z", "", "+00:00", "-00:00", "+14:00", "-23:59", "+24:00", "+05:60", "+0530", "+5")
_MOMENTS = (0.0, -1.0, 1e9, 1e10, 1e10 - 1, 1e9 - 1, 253402300799.999, 1e18, 1e300, -62135596800.0)


class Time(NamedTuple):
    """A text to read, or a number to write."""

    spelling: TimestampFormat
    given: str | float


class Times(Target):
    """`read_time()` and `spell_time()`."""

    name = "times"

    def cases(self, dice: Dice) -> Iterator[Time]:
        """Yield times that are right, nearly right, and none."""
        while True:
            spelling = dice.pick(_SPELLINGS)
            if dice.chance(0.15):
                yield Time(spelling, _number(dice))
                continue
            text = _date_and_time(dice) if spelling == "rfc3339" else _digits(dice, spelling)
            for _ in range(dice.pick((0, 0, 1, 1, 2))):
                changed = dice.pick(EDITS)(dice, text)
                text = changed if isinstance(changed, str) else text
            yield Time(spelling, text)

    def judge(self, case: Time) -> str:
        """Compare with the oracle, exactly for digits, to a microsecond for fractions."""
        if isinstance(case.given, str):
            seconds = read_time(case.given, case.spelling)
            wanted = read_seconds(case.given, case.spelling)
            if (seconds is None) != (wanted is None) or (
                seconds is not None and wanted is not None and abs(seconds - wanted) > 1e-6
            ):
                msg = f"read as {seconds!r}, but it is {wanted!r}"
                raise Escape(msg)
            return "no time" if seconds is None else ACCEPTED
        try:
            text = spell_time(case.given, case.spelling)
        except ConfigurationError:
            if abs(case.given - NOW) < 10**8:
                msg = "a time of these years, but not written"
                raise Escape(msg) from None
            return "not written"
        back = read_seconds(text, case.spelling)
        exactness = 1 if case.spelling == "unix" else 1e-3
        if back is None or abs(back - case.given) > exactness:
            msg = f"written as {text!r}, which is {back!r}"
            raise Escape(msg)
        return "written"


def _number(dice: Dice) -> float:
    kind = dice.below(4)
    if kind == 0:
        return NOW + dice.below(10**6) / 1000
    if kind == 1:
        return NOW + dice.below(10**6)
    if kind == 2:
        return dice.pick((*_MOMENTS, 10**400, -(10**400), 10**4400, float("nan"), float("inf")))
    return (dice.random() - 0.5) * 10.0 ** dice.below(25)


def _digits(dice: Dice, spelling: TimestampFormat) -> str:
    length = 10 if spelling == "unix" else 13
    length += dice.pick((0, 0, 0, 0, 0, 0, -1, 1, 3, -3))
    return "".join(dice.choices("0123456789", k=length))


def _date_and_time(dice: Dice) -> str:
    if dice.chance(0.5):
        year, month, day = f"{dice.below(10**4):04}", "06", f"{1 + dice.below(30):02}"
        hour, minute, second = (f"{dice.below(each):02}" for each in (24, 60, 60))
    else:
        year = dice.pick(_YEARS)
        month, day, hour, minute, second = (dice.pick((*_NUMBERS, "59", "60")) for _ in range(5))
    fraction = ""
    if dice.chance(0.3):
        fraction = dice.pick(".,") + "".join(dice.choices("0123456789", k=dice.below(12)))
    between = dice.pick("TTTTTTT t")
    offset = dice.pick(_OFFSETS) if dice.chance(0.5) else "Z"
    if dice.chance(0.02):
        offset = hostile.text(dice)
    return f"{year}-{month}-{day}{between}{hour}:{minute}:{second}{fraction}{offset}"
