"""What the parts of requests and answers look like: their patterns, lengths and examples."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Path
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError
from starlette.convertors import Convertor, register_url_convertor

if TYPE_CHECKING:
    from typing_extensions import LiteralString

_LATEST: Final = 1e11  # seconds: the year 5138
_FORM: Final = "form"  # the type of an error that says a sentence
# RFC 3339 section 5.6. Pydantic takes more than that, such as a number of seconds.
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
# In parts that are joined by dots, as the outbox wants it.
_EVENT_TYPE: Final = r"[A-Za-z0-9_:/-]+(\.[A-Za-z0-9_:/-]+)*"
_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_TOP_LABEL: Final = r"[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_OCTET: Final = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PORT: Final = (
    r"(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
)
_URL: Final = (
    rf"^https?://(({_LABEL}\.){{0,20}}{_TOP_LABEL}|({_OCTET}\.){{3}}{_OCTET})(:{_PORT})?"
    r"([/?][!\x22$-\x5b\x5d-\x7e]*)?$"
)


def said(sentence: LiteralString) -> WrapValidator:
    """Have a refusal say a sentence, where Pydantic would show a pattern."""

    def check(value: object, checked: ValidatorFunctionWrapHandler) -> object:
        with suppress(ValidationError):
            return checked(value)
        # Not above: the cause would have the value, which may be a secret.
        raise PydanticCustomError(_FORM, sentence)

    return WrapValidator(check)


class Received(BaseModel):
    """A part of a request. What it does not know is refused, and so is what has another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Answered(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


EventType = Annotated[
    str,
    Field(
        pattern=f"^{_EVENT_TYPE}$",
        max_length=128,
        description="What has happened: letters, digits and `_:/-` in parts joined by dots.",
        examples=["invoice.paid"],
    ),
    said(
        "An event type is up to 128 letters, digits, _, -, : and /, in parts that are joined by "
        "dots, such as invoice.paid"
    ),
]
EventTypeFilter = Annotated[
    str,
    Field(
        pattern=rf"^(\*|{_EVENT_TYPE}(\.\*)?)$",
        max_length=130,
        description="An event type; `invoice.*` for all that begin with `invoice.`; `*` for all.",
        examples=["invoice.*"],
    ),
    said(
        "It must be an event type such as invoice.paid, or invoice.* for all that begin with "
        "invoice., or * for all"
    ),
]
Key = Annotated[
    str,
    Field(
        pattern=r"^[!-~]+$",
        max_length=255,
        description="Visible ASCII characters.",
        examples=["customer-42"],
    ),
    said("A key is up to 255 visible ASCII characters without spaces, such as customer-42"),
]
Text = Annotated[
    str,
    Field(
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$",
        max_length=200,
        description="Text in one line, for people.",
    ),
    said("It must be one line of up to 200 characters"),
]
URL = Annotated[
    str,
    Field(
        pattern=_URL,
        max_length=2000,
        description=(
            "The whole URL of the receiver, whose host is a name or an IPv4 address. Write other "
            "characters than ASCII as `xn--...` or `%..`. Whether its address can be reached, and "
            "is allowed, shows when something is sent."
        ),
        examples=["https://partner.example/webhooks"],
    ),
    said(
        "A URL must be like https://partner.example/webhooks: http or https, a name or an IPv4 "
        "address, without a password and without #, up to 2000 ASCII characters"
    ),
]
HeaderName = Annotated[
    str,
    Field(pattern="^[A-Za-z][A-Za-z0-9-]{2,63}$"),
    said(
        "The name of a header is 3 to 64 letters, digits and hyphens, and begins with a letter, "
        "such as X-Api-Key"
    ),
]
HeaderValue = Annotated[
    str,
    Field(pattern=r"^[!-~]([ -~]*[!-~])?$", max_length=2000),
    said(
        "The value of a header is up to 2000 characters of printable ASCII, without spaces at its "
        "ends"
    ),
]

EndpointId = Annotated[
    str,
    Field(pattern="^ep_[0-9a-f]{24}$", examples=["ep_5f3a9c0e1d2b4a6f8e7c9d0b"]),
    said("The id of an endpoint is ep_ and 24 hex digits in lower case"),
]
MessageId = Annotated[
    str,
    Field(pattern="^msg_[0-9a-f]{32}$", examples=["msg_019a3c5e7f80aa00bb11cc22dd33ee44"]),
    said("The id of a message is msg_ and 32 hex digits in lower case"),
]
DeliveryId = Annotated[int, Field(ge=1, lt=10**18, examples=[4711])]
EndpointPath = Annotated[EndpointId, Path(description="The id of the endpoint.")]
MessagePath = Annotated[MessageId, Path(description="The id of the message.")]
DeliveryPath = Annotated[DeliveryId, Path(description="The id of the delivery.")]


class _Id(Convertor[str]):
    """What stands for an id in the path of a route. Any other text leads to no route."""

    def convert(self, value: str) -> str:
        """Return the id in a path."""
        return value

    def to_string(self, value: str) -> str:
        """Return the path of an id."""
        return value


class _EndpointId(_Id):
    regex = "ep_[0-9a-f]{24}"


class _MessageId(_Id):
    regex = "msg_[0-9a-f]{32}"


class _DeliveryId(_Id):
    regex = "[1-9][0-9]{0,17}"


register_url_convertor("endpoint", _EndpointId())
register_url_convertor("message", _MessageId())
register_url_convertor("delivery", _DeliveryId())


def _integral(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


#: For a whole number: JSON has one kind of numbers, so 5.0 is 5.
Integral: Final = BeforeValidator(_integral)


def _time_of(value: object) -> object:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        seconds, fraction, zone = found.groups("")
        # As Python 3.10 reads it.
        iso = f"{seconds}.{fraction[:6]:0<6}{'+00:00' if zone in 'Zz' else zone}"
        with suppress(ValueError):  # there is no such day
            return datetime.fromisoformat(iso)
    raise PydanticCustomError(_FORM, "A time must be like 2026-11-30T09:30:00Z (RFC 3339)")


#: A time in a request.
Time = Annotated[
    AwareDatetime,
    BeforeValidator(_time_of),
    Field(description="A time of RFC 3339.", examples=["2026-11-30T09:30:00Z"]),
]


def seconds_of(time: datetime | None) -> float | None:
    """Return a time in Unix seconds, as the outbox takes it."""
    return None if time is None else min(max(time.timestamp(), 0), _LATEST)


def time_of(seconds: float) -> datetime:
    """Return a time in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def time_or_none(seconds: float | None) -> datetime | None:
    """Return a time in UTC, if there is one."""
    return None if seconds is None else time_of(seconds)
