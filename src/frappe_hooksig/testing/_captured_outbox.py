"""What an outbox would send, for tests: it looks at rows, and sends nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from frappe_hooksig._overriding import current_clock
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.outbox import Endpoint, Outbox, OutgoingMessage
from frappe_hooksig.outbox._database import Connection, among
from frappe_hooksig.outbox._endpoints import Row, endpoint_rows, takes
from frappe_hooksig.outbox._formats import FormatFailed
from frappe_hooksig.outbox._secrets import Unavailable
from frappe_hooksig.outbox._senders import Senders
from frappe_hooksig.outbox._tables import check_tables
from frappe_hooksig.sending import Attempt, Sender
from frappe_hooksig.sending._request import Request
from frappe_hooksig.sending._target import Target
from frappe_hooksig.testing._requests import SignedRequest

if TYPE_CHECKING:
    from typing_extensions import Self

_T = TypeVar("_T")

# Rows are told apart by their ids, not by the highest number: a transaction that began before may
# have a lower one, and is committed later. SQLite gives the number of a rolled back row once more.
_IDS: Final = "SELECT id FROM hooksig_messages ORDER BY seq"
_MESSAGES: Final = """\
SELECT id, event_type, tenant, lane, idempotency_key, payload, is_json, created_at
FROM hooksig_messages WHERE id IN"""
_ROUTED: Final = """\
SELECT m.id, d.endpoint FROM hooksig_messages m JOIN hooksig_deliveries d ON d.message = m.seq
WHERE m.id IN"""
_AT_ONCE: Final = 500
# Test clients and HTTP clients set these themselves.
_OF_THE_CONNECTION: Final = {"host", "content-length"}


@dataclass(frozen=True, kw_only=True, slots=True)
class CapturedMessage:
    """A message that was published while an outbox was captured.

    Attributes:
        id: Its id, which receivers see.
        event_type: Its event type.
        tenant: Whose it is; empty if there are no tenants.
        key: The key that it has its order by, or None.
        idempotency_key: The caller's own key for it, or None.
        payload: The bytes that were published, which are sent unless the endpoint has a format.
        is_json: Whether they are sent as JSON.
        created_at: When it was published, in Unix seconds.
        endpoints: The endpoints that get it, as they are now; also those that are not active, which
            get it later.
    """

    id: str
    event_type: str
    tenant: str
    key: str | None
    idempotency_key: str | None
    payload: bytes = field(repr=False)
    is_json: bool
    created_at: float
    endpoints: tuple[Endpoint, ...]

    def json(self) -> Any:
        """Return the payload, parsed as JSON.

        Raises:
            ValueError: The payload is not JSON.
        """
        return json.loads(self.payload)


class CapturedRequest(SignedRequest):
    """A request that an outbox would send, signed with the secret of its endpoint.

    Attributes:
        message: The message.
        endpoint: The endpoint.
        url: The URL of the endpoint.
    """

    __slots__ = ("endpoint", "message")

    def __init__(
        self,
        body: bytes,
        headers: Sequence[tuple[str, str]],
        *,
        message: CapturedMessage,
        endpoint: Endpoint,
    ) -> None:
        super().__init__(body, headers, method=endpoint.method, url=endpoint.url)
        self.message = message
        self.endpoint = endpoint


class CapturedOutbox:
    """What an outbox would send, in a test. Nothing is sent.

    It looks at the rows that were inserted since the block began, whoever inserted them. So a
    transaction that was rolled back is not there, nor is one that is not committed yet. If other
    processes publish in the same database, what they publish is there, too.

    While the block runs, workers of this outbox begin nothing, in this process. Those of other
    processes go on. The rows stay: a worker that runs later sends them. So give tests a database of
    their own.

    >>> with CapturedOutbox(outbox) as captured:  # doctest: +SKIP
    ...     pay("INV-00001")  # publishes in its transaction, and commits
    >>> [message.event_type for message in captured.messages]  # doctest: +SKIP
    ['invoice.paid']

    Args:
        outbox: The app's outbox.
        connection: The connection or session to look through. By default, one of the outbox's own,
            which sees what is committed. Pass that of the test if the test rolls back everything at
            its end, and nothing is ever committed: then all that was published in this transaction
            is there.

    Raises:
        ConfigurationError: `outbox` is no `Outbox`, or the connection is none that it can use.
    """

    def __init__(self, outbox: Outbox, connection: object = None) -> None:
        if not isinstance(outbox, Outbox):
            msg = f"CapturedOutbox takes the app's Outbox, not a {type(outbox).__name__}"
            raise ConfigurationError(msg)
        self._outbox = outbox
        self._database = outbox._database  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._vault = outbox._vault  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._formats = outbox._formats  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._theirs = connection
        if connection is not None:
            self._database.adopted(connection)
        self._before: set[str] | None = None

    def __enter__(self) -> Self:
        self._hold(1)  # first: what a worker has begun is done when the rows are read
        try:
            self._before = {*self._read(_ids)}
        except BaseException:
            self._hold(-1)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._hold(-1)

    def _hold(self, change: int) -> None:
        self._outbox._holds += change  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    @property
    def messages(self) -> list[CapturedMessage]:
        """The messages that were published since the block began, in their order.

        Raises:
            RuntimeError: The block has not begun, or the database cannot be read.
        """
        return [message for message, _ in self._found()]

    @property
    def requests(self) -> list[CapturedRequest]:
        """The requests that would be sent: for each message, one for each of its endpoints.

        They are signed now, with the secrets of the endpoints. A test client can send them to a
        receiver, which verifies them: `client.post("/webhook", **request.for_flask)`.

        Raises:
            ConfigurationError: A secret or a header of an endpoint cannot be read, or the outbox
                does not know its format.
            PayloadError: A payload does not fit the format or the scheme of an endpoint.
            RuntimeError: As for `messages`, or a format has raised another error, which is the
                cause of this one.
        """
        return [self._request(message, row) for message, rows in self._found() for row in rows]

    def _found(self) -> list[tuple[CapturedMessage, list[Row]]]:
        """Return the messages, each with the rows of its endpoints."""
        before = self._before
        if before is None:
            msg = "nothing is captured yet: use it as `with CapturedOutbox(outbox) as captured:`"
            raise RuntimeError(msg)

        def look(connection: Connection) -> list[tuple[CapturedMessage, list[Row]]]:
            new = [each for each in _ids(connection) if each not in before]
            rows = endpoint_rows(connection)
            found: list[tuple[CapturedMessage, list[Row]]] = []
            for start in range(0, len(new), _AT_ONCE):
                ids = new[start : start + _AT_ONCE]
                routed = _routed(connection, ids)
                for each in _columns(connection, ids):
                    chosen = routed.get(each[0])
                    theirs = [row for row in rows if _gets(row.endpoint, each, chosen)]
                    found.append((_message(each, [row.endpoint for row in theirs]), theirs))
            return found

        return self._read(look)

    def _read(self, look: Callable[[Connection], _T]) -> _T:
        if self._theirs is not None:
            return look(self._database.adopted(self._theirs))
        try:
            return self._database.run(look)
        except self._database.errors as error:
            msg = (
                f"the rows of the outbox cannot be read ({type(error).__name__}): if a transaction "
                "is still open, commit it first, or pass its connection= to CapturedOutbox"
            )
            raise RuntimeError(msg) from error

    def _request(self, message: CapturedMessage, row: Row) -> CapturedRequest:
        kept: list[bytes] = []
        senders = Senders(
            self._vault,
            lambda *args, **options: _Kept(kept, *args, **options),
            self._formats,
            current_clock(),
        )
        outgoing = OutgoingMessage(
            id=message.id,
            event_type=message.event_type,
            tenant=message.tenant,
            key=message.key,
            payload=message.payload,
            is_json=message.is_json,
            created_at=message.created_at,
            attempt=1,
        )
        problem = ""
        try:
            senders.send(row, outgoing)
        except FormatFailed as error:
            raise RuntimeError(str(error)) from error.__cause__
        except Unavailable as error:
            problem = str(error)
        if problem:
            raise ConfigurationError(problem)
        head, _, body = b"".join(kept).partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")[1:]
        pairs = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        own = [pair for pair in pairs if pair[0].lower() not in _OF_THE_CONNECTION]
        return CapturedRequest(body, own, message=message, endpoint=row.endpoint)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._outbox!r}>"


class _Kept(Sender):
    """Signs a message as a `Sender` does, and keeps the request instead of sending it."""

    __slots__ = ("_kept",)

    def __init__(self, kept: list[bytes], *args: Any, **options: Any) -> None:
        super().__init__(*args, observe=(), clock=current_clock(), **options)
        self._kept = kept

    def _attempt(
        self, target: Target, request: Request, message_id: str, started: float
    ) -> Attempt:
        del target, started
        self._kept += [bytes(each) for each in request.pieces]
        return Attempt(outcome="delivered", id=message_id, reason="", message="", seconds=0.0)


def _ids(connection: Connection) -> list[str]:
    check_tables(connection)
    return [message_id for (message_id,) in connection.rows(_IDS)]


def _columns(connection: Connection, ids: Sequence[str]) -> list[tuple[Any, ...]]:
    names, values = among("id", ids)
    return connection.rows(f"{_MESSAGES} {names} ORDER BY seq", values)


def _routed(connection: Connection, ids: Sequence[str]) -> dict[str, set[str]]:
    """Return the endpoints of those messages that have deliveries, such as tests."""
    names, values = among("id", ids)
    found: dict[str, set[str]] = {}
    for message_id, endpoint in connection.rows(f"{_ROUTED} {names}", values):
        found.setdefault(message_id, set()).add(endpoint)
    return found


def _gets(endpoint: Endpoint, columns: tuple[Any, ...], routed: set[str] | None) -> bool:
    """Whether an endpoint gets a message, as in `_routing`."""
    if routed is not None:
        return endpoint.id in routed
    _, event_type, tenant, *_ = columns
    return endpoint.tenant == tenant and takes(endpoint.event_types, event_type)


def _message(columns: tuple[Any, ...], endpoints: Sequence[Endpoint]) -> CapturedMessage:
    message_id, event_type, tenant, key, idempotency_key, payload, is_json, created_at = columns
    return CapturedMessage(
        id=message_id,
        event_type=event_type,
        tenant=tenant,
        key=key,
        idempotency_key=idempotency_key,
        payload=bytes(payload),
        is_json=bool(is_json),
        created_at=created_at / 1000,
        endpoints=(*endpoints,),
    )
