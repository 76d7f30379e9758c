"""Taking over the subscriptions of an older service, so that its receivers need no change."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from pydantic import SecretStr
from sqlalchemy import MetaData, Table, create_engine, select
from sqlalchemy.exc import NoSuchTableError

from delivery_service.account import Account
from delivery_service.formats import SCHEMES, FormatName
from delivery_service.problems import problem_of
from delivery_service.settings import Settings
from delivery_service.state import State
from frappe_hooksig import ConfigurationError, SecretWarning
from frappe_hooksig.outbox import Endpoint, Outbox

FORMAT: Final[FormatName] = "x-webhook"
_LONGEST_DESCRIPTION: Final = 200
_PAGE: Final = 100
_Identity: TypeAlias = tuple[str, frozenset[str]]
_ACTIVE: Final[Mapping[object, bool]] = {True: True, False: False, None: True}


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """A subscription as the older service has it.

    Attributes:
        url: Where the receiver is.
        events: What it gets: names, prefixes such as `order.*`, or `*`.
        secret: What the receiver verifies with.
        is_active: Whether it gets anything at the moment.
        description: For people.
    """

    url: str
    events: tuple[str, ...]
    secret: str = field(repr=False)
    is_active: bool
    description: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is to be done with a subscription.

    Attributes:
        what: `add` it, `skip` it because it is there already, or `refuse` it.
        place: Which one it is.
        text: What it is, or why it cannot be taken. It has no secret.
        subscription: What to add.
    """

    what: Literal["add", "skip", "refuse"]
    place: str
    text: str
    subscription: Subscription | None = None


def read_file(path: Path) -> list[Mapping[str, Any]]:
    """Return the subscriptions in a JSON file.

    Raises:
        ConfigurationError: It cannot be read, or is not a list of objects.
    """
    try:
        found: object = json.loads(path.read_text("utf-8"))
    except OSError as error:
        msg = f"SOURCE cannot be read: {error.strerror}"
    except (ValueError, RecursionError):
        msg = "SOURCE is not JSON"
    else:
        rows = cast("list[object]", found) if isinstance(found, list) else [None]
        if all(isinstance(each, dict) for each in rows):
            return cast("list[Mapping[str, Any]]", rows)
        msg = "SOURCE is not a list of objects: [{url, events, secret, active}, ...]"
    raise ConfigurationError(msg)


def read_table(url: str, name: str) -> list[Mapping[str, Any]]:
    """Return the subscriptions in a table of another database.

    Raises:
        ConfigurationError: There is no such table.
    """
    engine = create_engine(url, hide_parameters=True)
    try:
        with engine.connect() as connection:
            table = Table(name, MetaData(), autoload_with=connection)
            return [dict(each) for each in connection.execute(select(table)).mappings()]
    except NoSuchTableError:
        msg = f"SOURCE has no table {name}: name it with --table"
        raise ConfigurationError(msg) from None
    finally:
        engine.dispose()


def plan(rows: Iterable[Mapping[str, Any]], account: Account, settings: Settings) -> list[Step]:
    """Return what is to be done, in the order of the rows. Nothing is changed."""
    there = {_identity(each) for each in _endpoints_of(account)}
    seen: dict[_Identity, tuple[str, str]] = {}
    steps: list[Step] = []
    with _scratch(settings) as outbox:
        for number, row in enumerate(rows, 1):
            place = f"number {number}" if row.get("id") is None else str(row["id"])[:64]
            try:
                subscription = _read(row)
                endpoint, notes = _tried(outbox, subscription)
            except ConfigurationError as error:
                text = problem_of(error).detail
                steps.append(Step(what="refuse", place=place, text=text))
                continue
            identity = _identity(endpoint)
            text = " ".join([_shown(endpoint.url), *endpoint.event_types])
            before, secret = seen.setdefault(identity, (place, subscription.secret))
            if secret != subscription.secret:
                why = f"{text}: {before} has the same URL and events, and another secret"
                steps.append(Step(what="refuse", place=place, text=why))
            elif identity in there or before != place:
                where = "there" if identity in there else before
                steps.append(Step(what="skip", place=place, text=f"{text}: it is {where} already"))
            else:
                notes += [] if subscription.is_active else ["paused"]
                text = "; ".join([text, *notes])
                steps.append(Step(what="add", place=place, text=text, subscription=subscription))
    return steps


def carry_out(steps: Sequence[Step], account: Account) -> None:
    """Add all that is to be added, or nothing."""
    added: list[str] = []
    try:
        for each in steps:
            if each.subscription is not None:
                added.append(_added(each.subscription, account))  # noqa: PERF401  # one by one
    except BaseException:
        for endpoint_id in added:
            account.delete_endpoint(endpoint_id)
        raise


def _added(subscription: Subscription, account: Account) -> str:
    with _weak_secrets():  # the plan has told of them
        described, _ = account.add_endpoint(
            subscription.url,
            description=subscription.description,
            format=FORMAT,
            secret=subscription.secret,
            event_types=subscription.events,
        )
    if not subscription.is_active:
        account.pause(described.endpoint.id, "it was not active when it was imported")
    return described.endpoint.id


def _read(row: Mapping[str, Any]) -> Subscription:
    active = row.get("active", row.get("is_active"))
    if not isinstance(active, bool | int | None) or active not in _ACTIVE:
        msg = "active is neither true nor false"
        raise ConfigurationError(msg)
    return Subscription(
        url=_text(row, "url"),
        events=_events(row.get("events")),
        secret=_text(row, "secret"),
        is_active=_ACTIVE[active],
        description=str(row.get("description") or "")[:_LONGEST_DESCRIPTION],
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    value: object = row.get(name)
    if isinstance(value, str) and value:
        return value
    if value is None:
        msg = f"{name} is missing"
    elif value == "":
        msg = f"{name} is empty"
    else:
        msg = f"{name} is not a text"
    raise ConfigurationError(msg)


def _events(given: object) -> tuple[str, ...]:
    """Return what is a list, the JSON of one, or names with commas between them."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            given = [each.strip() for each in str(given).split(",") if each.strip()]
    several = cast("list[object]", given) if isinstance(given, list) else []
    if not several or not all(isinstance(each, str) for each in several):
        msg = "events is not a list of names"
        raise ConfigurationError(msg)
    return tuple(map(str, several))


@contextmanager
def _scratch(settings: Settings) -> Generator[Outbox]:
    """Open an empty outbox that judges subscriptions, and is deleted afterwards."""
    with TemporaryDirectory(prefix="delivery-service-") as folder:
        url = SecretStr(f"sqlite:///{Path(folder) / 'scratch.db'}")
        changes = {"database_url": url, "broker_url": None}
        state = State.of(settings.model_copy(update=changes))
        try:
            state.outbox.migrate()
            yield state.outbox
        finally:
            state.close()


def _tried(outbox: Outbox, subscription: Subscription) -> tuple[Endpoint, list[str]]:
    """Return the endpoint that a subscription becomes, and what is to be said about its secret."""
    with _weak_secrets() as found:
        endpoint = outbox.add_endpoint(
            subscription.url,
            secret=subscription.secret,
            event_types=subscription.events,
            scheme=SCHEMES[FORMAT],
            format=FORMAT,
        )
    return endpoint, ["its secret is weak: rotate it"] * bool(found)


@contextmanager
def _weak_secrets() -> Generator[list[warnings.WarningMessage]]:
    """Collect what the library says of secrets, and print none of it: it speaks to receivers."""
    log = logging.getLogger("frappe_hooksig")
    log.addFilter(_refuse)
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always", SecretWarning)
            yield found
    finally:
        log.removeFilter(_refuse)


def _refuse(_record: logging.LogRecord) -> bool:
    return False


def _endpoints_of(account: Account) -> Iterator[Endpoint]:
    after = None
    while page := account.endpoints(after=after, limit=_PAGE):
        for each in page:
            if each.format == FORMAT:
                yield each.endpoint
        after = page[-1].endpoint.id


def _identity(endpoint: Endpoint) -> _Identity:
    return endpoint.url, frozenset(endpoint.event_types)


def _shown(url: str) -> str:
    """Return a URL without what may be a secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
