"""When a delivery was made, out of its body."""

from __future__ import annotations

import json
from datetime import datetime
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from frappe_hooksig import (
    ConfigurationError,
    Reason,
    TimestampOutOfTolerance,
    VerificationError,
    Verifier,
    sign_payload,
)
from frappe_hooksig.freshness import body_time
from tests.vectors import Vector, frappe_captures

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
NOW = 1_795_318_000
# The sites that these were recorded on were in India.
CAPTURES = [each for each in frappe_captures() if b'"modified": "2026' in each.body]
WELL_SPELLED = [
    ("2026-11-22 09:35:43.019032", "UTC", "2026-11-22T09:35:43.019032+00:00"),
    ("2026-11-22 09:35:43.019032", "Asia/Kolkata", "2026-11-22T04:05:43.019032+00:00"),
    ("2026-11-22 09:35:43", "America/New_York", "2026-11-22T14:35:43+00:00"),
    ("2026-07-22 09:35:43", "America/New_York", "2026-07-22T13:35:43+00:00"),
    ("2026-11-22T09:35:43.5", "Europe/Berlin", "2026-11-22T08:35:43.500000+00:00"),
    ("2026-11-22 09:35:43.123456789", "UTC", "2026-11-22T09:35:43.123456+00:00"),
    ("2026-11-22 09:35:43+02:00", "America/New_York", "2026-11-22T07:35:43+00:00"),
    ("2026-11-22T09:35:43.019032-03:30", "Asia/Kolkata", "2026-11-22T13:05:43.019032+00:00"),
    ("2026-11-22T09:35:43Z", "Asia/Kolkata", "2026-11-22T09:35:43+00:00"),
    (NOW, "Asia/Kolkata", "2026-11-22T03:26:40+00:00"),
    (NOW + 0.5, "Asia/Kolkata", "2026-11-22T03:26:40.500000+00:00"),
    ("0001-01-01 00:00:00", "Asia/Kolkata", "0001-01-01T00:00:00+05:53:28"),
    ("9999-12-31 23:59:59", "America/New_York", "9999-12-31T23:59:59-05:00"),
]
# When an hour is repeated or left out, and what it is in Unix seconds by either offset.
REPEATED = [
    ("2026-10-25 02:30:00", "Europe/Berlin", 1_792_888_200),
    ("2026-11-01 01:30:00.000000", "America/New_York", 1_793_511_000),
]
LEFT_OUT = [
    ("2026-03-29 02:30:00", "Europe/Berlin", 1_774_747_800),
    ("2026-03-08 02:30:00", "America/New_York", 1_772_955_000),
]


def time_of(payload: Any, now: float, tolerance: float = 0.001, **options: Any) -> float | None:
    """Return when a payload was made, as its receiver sees it now."""
    signed = sign_payload(payload, SECRET)
    timestamp_from = body_time(**options)
    verifier = Verifier(
        SECRET, timestamp_from=timestamp_from, tolerance=tolerance, clock=lambda: now
    )
    return verifier.verify(signed.body, signed.headers).timestamp


@pytest.mark.parametrize("value", [NOW * 1000, NOW * 1000.0, NOW * 1000 + 500])
def test_milliseconds(value: float) -> None:
    """A number may be in milliseconds, as Linear's; where it must not be, the error says so."""
    payload = {"webhookTimestamp": value}
    of_linear: dict[str, Any] = {"field": "webhookTimestamp", "time_zone": "UTC"}

    assert time_of(payload, value / 1000, **of_linear, unit="ms") == value / 1000
    with pytest.raises(VerificationError, match=r"in milliseconds, .*unit=\"ms\"") as caught:
        time_of(payload, value / 1000, **of_linear)
    assert caught.value.reason is Reason.MALFORMED_TIMESTAMP


def test_milliseconds_from_a_function() -> None:
    """Where a function returns them, the error asks."""
    signed = sign_payload({}, SECRET)
    verifier = Verifier(SECRET, timestamp_from=lambda _delivery: NOW * 1000, clock=lambda: NOW)

    with pytest.raises(TimestampOutOfTolerance, match=r"tolerance \d+ s: is it in milliseconds"):
        verifier.verify(signed.body, signed.headers)


@pytest.mark.parametrize("unit", ["us", None, 1])
def test_unit(unit: Any) -> None:
    """There are two units."""
    with pytest.raises(ConfigurationError, match='must be "s" for seconds or "ms"'):
        body_time(time_zone="UTC", unit=unit)


@pytest.mark.parametrize(("value", "zone", "moment"), WELL_SPELLED, ids=str)
def test_well_spelled(value: object, zone: str, moment: str) -> None:
    """A time of the site's clocks, a time with its offset, or Unix seconds."""
    now = datetime.fromisoformat(moment).timestamp()

    assert time_of({"modified": value}, now, time_zone=zone) == now


@pytest.mark.parametrize(
    ("field", "payload"),
    [
        ("modified", {"modified": NOW}),
        ("creation", {"modified": 0, "creation": NOW}),
        ("data.modified", {"modified": 0, "data.modified": 0, "data": {"modified": NOW}}),
        ("a.b.ç d", {"a": {"b": {"ç d": NOW}}}),
    ],
)
def test_field(field: str, payload: object) -> None:
    """It is looked for where it was said to be, and nowhere else."""
    assert time_of(payload, NOW, field=field, time_zone="UTC") == NOW


@pytest.mark.parametrize(
    "payload",
    [{}, [], None, 5, {"data": {"modified": NOW}}, {"Modified": NOW}, [["modified"]]],
    ids=str,
)
def test_no_such_field(payload: object) -> None:
    """The refusal says which field the body does not have."""
    with pytest.raises(VerificationError) as caught:
        time_of(payload, NOW, time_zone="UTC")

    assert caught.value.reason is Reason.MALFORMED_TIMESTAMP
    assert str(caught.value) == (
        "the timestamp in the body is not there: the body has no field 'modified'"
    )


@pytest.mark.parametrize("payload", [{"data": NOW}, {"data": None}, {"data": [{"modified": NOW}]}])
def test_no_field_within_a_field(payload: object) -> None:
    """On the way to it there are objects only."""
    with pytest.raises(VerificationError, match=r"the body has no field 'data\.modified'$"):
        time_of(payload, NOW, field="data.modified", time_zone="UTC")


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, [], {}, [NOW], ""),
        *(str(NOW), "now", "2026-11-22", "09:35:43", "22.11.2026 09:35:43", "11/22/2026 09:35:43"),
        *("2026-11-22 09:35", "2026-11-22 9:35:43", "26-11-22 09:35:43", "+2026-11-22 09:35:43"),
        *(" 2026-11-22 09:35:43", "2026-11-22 09:35:43 ", "2026-11-22 09:35:43\n"),
        *("2026-11-22  09:35:43", "2026-11-22T 09:35:43", "2026-11-22t09:35:43"),
        *("2026-11-22 09:35:43.", "2026-11-22 09:35:43,5", "2026-11-22 09:35:43.0123456789"),
        *("2026-11-22 09:35:43 +02:00", "2026-11-22 09:35:43+0200", "2026-11-22 09:35:43+02"),
        *("2026-11-22 09:35:43 UTC", "2026-11-22 09:35:43z", "2026-11-22 09:35:43+24:00"),
        *("2026-13-22 09:35:43", "2026-02-29 09:35:43", "2026-11-22 24:00:00"),
        *("2026-11-22 09:60:43", "2026-11-22 09:35:60", "0000-11-22 09:35:43"),
        *("２０２６-11-22 09:35:43", "2026-11-22 ٠٩:35:43", "2026−11−22 09:35:43"),
    ],
    ids=ascii,
)
def test_misspelled(value: object) -> None:
    """Any other spelling is no time, and the refusal does not repeat it."""
    with pytest.raises(VerificationError) as caught:
        time_of({"modified": value}, NOW, time_zone="UTC")

    assert caught.value.reason is Reason.MALFORMED_TIMESTAMP
    assert str(caught.value) == (
        "the timestamp in the body is not a date and time as Frappe writes it, "
        "in the field 'modified'"
    )


@pytest.mark.parametrize("body", [b"", b"{", b"modified=1", b"\xff", b"[" * 100_000])
def test_no_json(body: bytes) -> None:
    """A body without fields has no time either."""
    with pytest.raises(VerificationError) as caught:
        time_of(body, NOW, time_zone="UTC")

    assert caught.value.reason is Reason.MALFORMED_TIMESTAMP


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1" + b"0" * 400])
def test_no_moment(number: bytes) -> None:
    """Python reads these as JSON; they are no time even so."""
    with pytest.raises(VerificationError) as caught:
        time_of(b'{"modified": %b}' % number, NOW, time_zone="UTC")

    assert caught.value.reason is Reason.MALFORMED_TIMESTAMP


@pytest.mark.parametrize(("text", "zone", "first"), REPEATED)
def test_repeated_hour(text: str, zone: str, first: int) -> None:
    """When summer time ends, either reading can be fresh, and what is between is not."""
    second = first + 3600
    for now in (first - 60, first, first + 60):
        assert time_of({"modified": text}, now, 60, time_zone=zone) == first
    for now in (second - 60, second, second + 60):
        assert time_of({"modified": text}, now, 60, time_zone=zone) == second
    for now, age in ((first - 61, -61), (first + 61, 61), (second - 61, -61), (second + 61, 61)):
        with pytest.raises(TimestampOutOfTolerance) as caught:
            time_of({"modified": text}, now, 60, time_zone=zone)
        assert caught.value.age == age


@pytest.mark.parametrize(("text", "zone", "first"), REPEATED)
def test_offset_tells_repeated_hours_apart(text: str, zone: str, first: int) -> None:
    """With its offset, a time has one reading."""
    moment = datetime.fromisoformat(f"{text}+00:00").timestamp()
    offset = round(moment - first) // 3600
    spelled = f"{text}{offset:+03}:00"

    assert time_of({"modified": spelled}, first, time_zone=zone) == first
    with pytest.raises(TimestampOutOfTolerance):
        time_of({"modified": spelled}, first + 3600, time_zone=zone)


@pytest.mark.parametrize(("text", "zone", "moment"), LEFT_OUT)
def test_hour_that_is_left_out(text: str, zone: str, moment: int) -> None:
    """When summer time begins, clocks never show this: it is read by the offset of before."""
    assert time_of({"modified": text}, moment, time_zone=zone) == moment
    for now in (moment - 3600, moment + 3600):
        with pytest.raises(TimestampOutOfTolerance):
            time_of({"modified": text}, now, time_zone=zone)


@pytest.mark.parametrize("around", [*REPEATED, *LEFT_OUT], ids=lambda case: case[1])
@pytest.mark.parametrize("hours", [-2, 3])
def test_beside_the_change(around: tuple[str, str, int], hours: int) -> None:
    """Hours away from the change of clocks, each time has one reading."""
    _, zone, moment = around
    moment += hours * 3600
    local = datetime.fromtimestamp(moment, zone_of(zone)).replace(tzinfo=None)

    assert time_of({"modified": str(local)}, moment, time_zone=zone) == moment
    for now in (moment - 3600, moment + 3600):
        with pytest.raises(TimestampOutOfTolerance):
            time_of({"modified": str(local)}, now, time_zone=zone)


def zone_of(name: str) -> Any:
    """Return a time zone of the standard library's."""
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


@pytest.mark.parametrize("capture", CAPTURES, ids=attrgetter("id"))
def test_capture(capture: Vector) -> None:
    """What a real site sent is fresh when it arrives, and not with the clock of another zone."""
    for zone, outcome in (("Asia/Kolkata", "accept"), ("UTC", "timestamp-in-future")):
        verifier = Verifier(
            capture.secret,
            timestamp_from=body_time(time_zone=zone),
            tolerance=60,
            clock=lambda: capture.now,
        )
        seen = "accept"
        try:
            verifier.verify(capture.body, capture.headers)
        except VerificationError as error:
            seen = error.reason.value
        assert seen == outcome


def test_captures() -> None:
    """There are some, of each version."""
    assert {each.id.partition("/")[0] for each in CAPTURES} == {"v13", "v14", "v15", "v16"}


def test_a_deletion_has_the_time_of_the_last_save() -> None:
    """So says docs/freshness.md: `on_trash` looks as old as the document."""
    events = {each.id: each for each in CAPTURES}
    saved, deleted = events["v16/ev-on_change#7"], events["v16/ev-on_trash#1"]

    assert json.loads(deleted.body)["modified"] == json.loads(saved.body)["modified"]
    assert deleted.now > saved.now


@pytest.mark.parametrize(
    "zone",
    ["", "Nowhere/Else", "europe berlin", "/etc/passwd", "../Berlin", "Europe", "é", "\0", None, 1],
)
def test_unknown_time_zone(zone: Any) -> None:
    """It is found when the program starts, and the message says what may be missing."""
    with pytest.raises(ConfigurationError, match=r"such as Asia/Kolkata .*\(pip install tzdata\)$"):
        body_time(time_zone=zone)


@pytest.mark.parametrize("field", ["", ".", "a.", ".a", "a..b", None, 1, ["a"]])
def test_field_without_a_name(field: Any) -> None:
    """It is found when the program starts."""
    with pytest.raises(ConfigurationError, match="is not a field's name"):
        body_time(field, time_zone="UTC")


texts = st.text(max_size=30) | st.from_regex(
    r"\A[0-9]{4}-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{0,9})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?\Z"
)
values = st.none() | st.booleans() | st.integers() | st.floats() | texts
payloads = st.recursive(
    values,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "modified", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    payloads | st.fixed_dictionaries({"modified": values}),
    st.sampled_from(["modified", "data.modified"]),
    st.sampled_from(["UTC", "Asia/Kolkata", "Europe/Berlin", "America/New_York"]),
    st.floats(0, 1e11),
)
@example({"modified": 10**400}, "modified", "UTC", 0.0)
@example({"modified": "0001-01-01 00:00:00"}, "modified", "Asia/Kolkata", 0.0)
@example({"modified": "9999-12-31 23:59:59"}, "modified", "America/New_York", 0.0)
@example({"modified": "9999-12-31 23:59:59-23:59"}, "modified", "America/New_York", 0.0)
def test_any_payload(payload: object, field: str, zone: str, now: float) -> None:
    """Whatever was signed is in time, or refused with a reason."""
    try:
        time = time_of(payload, now, 1e11, field=field, time_zone=zone)
    except VerificationError as error:
        event(error.reason.value)
    else:
        event("accepted")
        assert time is not None
        assert abs(now - time) <= 1e11


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001
def test_what_frappe_writes(moment: datetime) -> None:
    """Each time that a site can write is read to the microsecond, or as near as a float is."""
    for zone in ("Asia/Kolkata", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"):
        for fold in (0, 1):
            now = moment.replace(tzinfo=zone_of(zone), fold=fold).timestamp()
            time = time_of({"modified": str(moment)}, now, 7200, time_zone=zone)
            assert time is not None
            assert time in {now, now + 3600, now - 3600, now + 1800, now - 1800}
