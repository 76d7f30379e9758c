"""Timestamps: one spelling each."""

from __future__ import annotations

import pytest

from frappe_hooksig import ConfigurationError
from frappe_hooksig._timestamp import TimestampFormat, read_time, spell_time


@pytest.mark.parametrize(
    ("spelling", "text", "time"),
    [
        ("unix", "1700000000", 1_700_000_000),
        ("unix", "0000000001", 1),
        ("unix", "9999999999", 9_999_999_999),
        ("unix-ms", "1752613922216", 1_752_613_922.216),
        ("rfc3339", "2021-03-25T05:09:27Z", 1_616_648_967),
        ("rfc3339", "2020-01-01T00:00:00-07:00", 1_577_862_000),
        ("rfc3339", "2020-01-01T07:00:00+07:00", 1_577_836_800),
        ("rfc3339", "2026-01-01T00:00:00.000000000Z", 1_767_225_600),
        ("rfc3339", "2026-01-01T00:00:00.5Z", 1_767_225_600.5),
        ("rfc3339", "0001-01-01T00:00:00+23:59", -62_135_683_140),
        ("rfc3339", "9999-12-31T23:59:59-23:59", 253_402_387_139),
    ],
)
def test_read(spelling: TimestampFormat, text: str, time: float) -> None:
    """A well-spelled time is its Unix seconds."""
    assert read_time(text, spelling) == time


@pytest.mark.parametrize(
    ("spelling", "text"),
    [
        *(
            ("unix", text)
            for text in (
                "",
                "170000000",
                "17000000000",
                "+170000000",
                "-170000000",
                " 170000000",
                "1700000000 ",
                "1700000000\n",
                "1_70000000",
                "170000000.",
                "1.7e000009",
                "１７０００００００0",  # full-width digits
                "170000000²",
                "٠١٢٣٤٥٦٧٨٩",
            )
        ),
        ("unix-ms", "1700000000"),
        ("unix-ms", "17000000000000"),
        ("unix-ms", "1700000000.00"),
        *(
            ("rfc3339", text)
            for text in (
                "",
                "2021-03-25",
                "2021-03-25T05:09:27",
                "2021-03-25 05:09:27Z",
                "2021-03-25t05:09:27z",
                "2021-03-25T05:09:27.Z",
                "2021-03-25T05:09:27.0123456789Z",
                "2021-03-25T05:09:27+0000",
                "2021-03-25T05:09Z",
                "2021-13-25T05:09:27Z",
                "2021-02-29T05:09:27Z",
                "2021-03-25T24:09:27Z",
                "2021-03-25T05:09:61Z",
                "2021-03-25T05:09:27+24:00",
                "2021-03-25T05:09:27+99:99",
                "2021-03-25T05:09:27+00:60",
                "0000-03-25T05:09:27Z",
                "12021-03-25T05:09:27Z",
                "2021-03-25T05:09:27Z\n",
                "٢٠٢١-03-25T05:09:27Z",
            )
        ),
    ],
)
def test_unreadable(spelling: TimestampFormat, text: str) -> None:
    """Any other spelling is no time."""
    assert read_time(text, spelling) is None


@pytest.mark.parametrize(
    ("spelling", "time", "text"),
    [
        ("unix", 1_700_000_000, "1700000000"),
        ("unix", 1_700_000_000.999, "1700000000"),
        ("unix-ms", 1_752_613_922.216, "1752613922216"),
        ("rfc3339", 1_616_648_967, "2021-03-25T05:09:27Z"),
        ("rfc3339", 1_616_648_967.25, "2021-03-25T05:09:27.250000Z"),
    ],
)
def test_spell(spelling: TimestampFormat, time: float, text: str) -> None:
    """A time is written the one way that it is read."""
    assert spell_time(time, spelling) == text


@pytest.mark.parametrize("spelling", ["unix", "unix-ms", "rfc3339"])
@pytest.mark.parametrize("time", [float("nan"), float("inf"), float("-inf"), 1e18, -1e18])
def test_unspellable(spelling: TimestampFormat, time: float) -> None:
    """What is no moment near our time is refused."""
    with pytest.raises(ConfigurationError, match="cannot be written as"):
        spell_time(time, spelling)


@pytest.mark.parametrize("time", [999_999_999, 10_000_000_000, 0, -1])
def test_unix_has_ten_digits(time: float) -> None:
    """A time that does not have the digits is refused rather than padded."""
    with pytest.raises(ConfigurationError, match="10 digits of Unix seconds"):
        spell_time(time, "unix")
