"""Forms that browsers send: reading them, and refusing those that another site made."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from delivery_service.pages.showing import argument_of, label_of, worded
from delivery_service.problems import Problem
from delivery_service.settings import Settings
from frappe_hooksig import ConfigurationError, PayloadError

_TYPE: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 100
_LONGEST_LINES: Final = 10_000  # characters
_SAFE: Final = {"GET", "HEAD", "OPTIONS"}

#: The hidden fields of each form.
TOKEN: Final = "csrf_token"
ONCE: Final = "form_id"


class Unusable(ValueError):
    """A field that cannot be used. Its text is a sentence for whoever filled it in.

    Attributes:
        field: The name of the field, if there is one.
    """

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text, field)
        self.field = field

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Refusal:
    """What is shown above a form that cannot be used.

    Attributes:
        text: A sentence.
        field: The name of the field that it is about, if that is known.
    """

    text: str
    field: str = ""


#: Errors that are shown above the form they refuse.
REFUSALS: Final = (ConfigurationError, PayloadError, Problem, Unusable)


def refusal_of(error: Exception, field: str = "") -> Refusal:
    """Return what is shown above a form that cannot be used.

    Args:
        error: Why it cannot be used.
        field: The field that it is about, unless the error names one.
    """
    text = error.detail if isinstance(error, Problem) else str(error)
    named = error.field if isinstance(error, Unusable) else argument_of(text)
    return Refusal(worded(text), named or field)


class Fields:
    """The fields of a form.

    Args:
        pairs: Their names and values, in their order.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._pairs = pairs

    def text(self, name: str, most: int = 200) -> str:
        """Return the first value of a field without spaces around it; empty if there is none.

        Raises:
            Unusable: It is longer than `most` characters, or has a NUL, which no database takes.
        """
        value = next((each.strip() for key, each in self._pairs if key == name), "")
        if len(value) > most:
            msg = f"{label_of(name)} must have up to {most} characters"
            raise Unusable(msg, name)
        if "\0" in value:
            msg = f"{label_of(name)} must not contain a NUL character"
            raise Unusable(msg, name)
        return value

    def password(self, name: str) -> str:
        """Return a value exactly as it was typed."""
        return next((each for key, each in self._pairs if key == name), "")

    def lines(self, name: str, most: int) -> list[str]:
        """Return the lines of a field that are not empty.

        Raises:
            Unusable: There are more than `most`, or they are too long.
        """
        lines = [each.strip() for each in self.text(name, _LONGEST_LINES).splitlines()]
        found = [each for each in lines if each]
        if len(found) > most:
            label = name.replace("_", " ").capitalize()
            msg = f"{label} has {len(found)} lines, and up to {most} are taken."
            raise Unusable(msg)
        return found

    def every(self, name: str) -> list[str]:
        """Return all values of a field, such as those of checkboxes."""
        return [each for key, each in self._pairs if key == name]

    def as_typed(self) -> Mapping[str, str]:
        """Return the first value of each field, to show the form once more."""
        return dict(reversed(self._pairs))


async def read_form(request: Request) -> Fields:
    """Read the form of a request. Nothing here takes files."""
    if request.method in _SAFE:
        return Fields()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise Problem(415, "unsupported-media-type", f"a form is sent as {_TYPE}")
    try:
        text = (await request.body()).decode("ascii")
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError as error:
        raise Problem(400, "bad-request", "the form cannot be read") from error
    return Fields(pairs)


Form = Annotated[Fields, Depends(read_form)]


def check_origin(request: Request, settings: Settings) -> None:
    """Refuse a form that another site made.

    Every browser of the last years sends `Origin` with a POST; `Sec-Fetch-Site` comes besides, if
    the page came by HTTPS or from this machine. Other sites cannot set either. So this is enough
    for the login, too, where there is no session that could have a token: otherwise another site
    could log somebody in to its own account, and be told what they enter there.

    Raises:
        Problem: It comes from elsewhere.
    """
    if request.method in _SAFE:
        return
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    is_own = origin == settings.public_url or (origin is None and site == "same-origin")
    if not is_own or site not in {None, "same-origin"}:
        raise Problem(
            403,
            "cross-site",
            "This form was sent from a page of another address than "
            f"{settings.public_url} (DELIVERY_SERVICE_PUBLIC_URL). Nothing was changed.",
        )


def check_token(request: Request, form: Fields, expected: str) -> None:
    """Refuse a form without the CSRF token of the session.

    Raises:
        Problem: It has another one, or none.
    """
    if request.method in _SAFE:
        return
    if not hmac.compare_digest(form.password(TOKEN).encode(), expected.encode()):
        raise Problem(
            403,
            "csrf",
            "This form belongs to another login. Nothing was changed. Go back, load the page "
            "again, and send the form once more.",
        )
