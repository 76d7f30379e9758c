"""`Outbox`: events that must arrive, as rows of a database."""

from __future__ import annotations

import json
import os
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Any, Final, TypeVar

from frappe_hooksig._payload import Payload
from frappe_hooksig._raw_body import MAX_BODY
from frappe_hooksig.exceptions import ConfigurationError, EndpointNotActive
from frappe_hooksig.observe._attempt_event import AttemptObserver
from frappe_hooksig.observe._log import log
from frappe_hooksig.observe._outbox_event import OutboxEvent, OutboxObserver
from frappe_hooksig.observe._threads import Observers
from frappe_hooksig.outbox._bell import Ringer, answer
from frappe_hooksig.outbox._bounds import number, whole
from frappe_hooksig.outbox._claims import Pace
from frappe_hooksig.outbox._database import Connection, Database, time_of
from frappe_hooksig.outbox._dispatcher import Dispatcher, Options
from frappe_hooksig.outbox._endpoints import (
    CHANGEABLE,
    CONCURRENCY,
    LOCK_ROUTING,
    Changes,
    alter_endpoint,
    columns_of,
    endpoint_row,
    insert_endpoint,
    is_elsewhere,
    list_endpoints,
    list_references,
    locked_endpoint_row,
    new_endpoint_id,
    remove_endpoint,
    replace_references,
    resume_endpoint,
    stop_endpoint,
)
from frappe_hooksig.outbox._formats import Format, Formats
from frappe_hooksig.outbox._frames import without_frames, without_traceback
from frappe_hooksig.outbox._history import (
    LONGEST_LIST,
    Selection,
    chosen_deliveries,
    count_numbers,
    find_delivery,
    find_message,
    find_payload,
    list_attempts,
    list_deliveries,
    list_messages,
    newest_delivery,
    send_again,
    send_as_new,
    states_of,
    types_of,
)
from frappe_hooksig.outbox._masking import MARGIN, Record, masked
from frappe_hooksig.outbox._processes import LEASE
from frappe_hooksig.outbox._publishing import MAX_PAYLOAD, publish
from frappe_hooksig.outbox._records import (
    AttemptRecord,
    DeliveryRecord,
    Endpoint,
    Message,
    Numbers,
    Order,
)
from frappe_hooksig.outbox._retention import RETENTION, Pruning
from frappe_hooksig.outbox._routing import route_to
from frappe_hooksig.outbox._secrets import Unavailable, Vault, in_use, is_encrypted
from frappe_hooksig.outbox._senders import Senders
from frappe_hooksig.outbox._sqlite import SQLiteDatabase
from frappe_hooksig.outbox._states import DeliveryState
from frappe_hooksig.outbox._tables import (
    check_installation,
    check_tables,
    confirm,
    fingerprint_of,
    is_confirmed,
    migrate,
)
from frappe_hooksig.outbox._worker import MOST_SLOTS, SLOTS
from frappe_hooksig.providers import STANDARD_WEBHOOKS as SCHEME
from frappe_hooksig.providers import get
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secret, generate_secret
from frappe_hooksig.sending._attempt import shown
from frappe_hooksig.sending._guard import AddressGuard
from frappe_hooksig.sending._schedule import STANDARD_WEBHOOKS, RetrySchedule
from frappe_hooksig.sending._sender import Sender

if sys.version_info >= (3, 11):
    from typing import Unpack
else:
    from typing_extensions import Unpack

_T = TypeVar("_T")

_DAY: Final = 86_400
_LONGEST: Final = 3650 * _DAY  # seconds
_ENDPOINTS_AT_ONCE: Final = 500
_LONGEST_OVERLAP: Final = 30 * _DAY  # seconds
_PUBLIC: Final = AddressGuard()
_TEST: Final[Payload] = {"test": True}
_MOST_PROCESSES: Final = 1000
_ENDED: Final = tuple(str(each) for each in DeliveryState if each.is_final)


class Outbox:
    """Events that must arrive: rows of a database, which workers send until receivers have them.

    A message is a row in the transaction that caused it. If that is rolled back, nothing is sent.
    If it is committed, each endpoint that takes the event type gets the message at least once,
    whatever ends meanwhile. Receivers must expect to get it more than once, with the same id.

    Create it once; threads may share it.

    Args:
        database: The path of a SQLite file, or a database: `SQLiteDatabase`, or that of an
            integration.
        keys: Fernet keys that encrypt secrets and headers in the tables, the newest first. They
            need the extra `encryption`.
        formats: What endpoints may get instead of the payload as it is: a function for each name.
            It gets an `OutgoingMessage`, and returns a `Formatted`. It is called anew for each
            attempt, in a thread of the worker, and must return the same body each time.
        references: Where else secrets are, besides `env:NAME` and `file:/path`: a function for each
            prefix. It gets the rest of the reference, and returns the secret, or None.
        guard: The addresses that may be connected to. By default, those of the public internet.
        timeout: How long an attempt may take in total, in seconds, up to 60.
        proxy: As for `Sender`.
        ssl_context: As for `Sender`.
        max_payload: The largest payload, in bytes, up to 25 MiB.
        retention: How long messages are kept after their deliveries have ended, in seconds.
        disable_after: How long an endpoint may fail until it is disabled, in seconds.
        lease: How old the heartbeat of a worker may be, in seconds. After that, another worker
            sends what it was sending.
        installation: The name of this installation, such as `production`. A database that was used
            under another name sends nothing until somebody confirms. By default, it is the name of
            the database and its server.
        bell: A function without arguments that has an engine, such as RQ, call `drain()` in one of
            its processes. It is called in a thread, after a commit, unless a bell is pending.
        observe: A function, or several, that get an `OutboxEvent` when somebody should know
            something. By default, a line is logged.
        observe_attempts: As `observe=` of `Sender`.
        untrusted_urls: Whether the URLs are chosen by people who must not learn what the network of
            the workers looks like. Then an address that is not allowed pauses nothing, and each
            attempt without an answer takes the whole timeout. See `for_tenant()`, too.

    Raises:
        ConfigurationError: An argument cannot be used.
    """

    @without_frames
    def __init__(
        self,
        database: Database | str | os.PathLike[str],
        *,
        keys: Sequence[str | bytes] = (),
        formats: Mapping[str, Format] | None = None,
        references: Mapping[str, Callable[[str], str | None]] | None = None,
        guard: AddressGuard = _PUBLIC,
        timeout: float = 15.0,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_payload: int = MAX_PAYLOAD,
        retention: float = RETENTION,
        disable_after: float = 5 * _DAY,
        lease: float = LEASE,
        installation: str | None = None,
        bell: Callable[[], object] | None = None,
        observe: OutboxObserver | Sequence[OutboxObserver] = log,
        observe_attempts: AttemptObserver | Sequence[AttemptObserver] = log,
        untrusted_urls: bool = False,
    ) -> None:
        self._vault = Vault(keys, references or {})
        self._formats = Formats({} if formats is None else formats)
        self._database = _database_of(database)
        number("timeout", timeout, 0.1, 60)
        whole("max_payload", max_payload, 1, MAX_BODY)
        number("retention", retention, 60, _LONGEST)
        number("disable_after", disable_after, 60, _LONGEST)
        number("lease", lease, 0.5, 3600)
        check_installation(installation)
        self._make_sender: Callable[..., Sender] = partial(
            Sender,
            guard=guard,
            timeout=timeout,
            proxy=proxy,
            ssl_context=ssl_context,
            observe=observe_attempts,
        )
        # So that an argument that cannot be used is found now, and not when something is sent.
        self._make_sender(generate_secret(SCHEME.secret_format), scheme=SCHEME).close()
        self._holds = 0  # how many blocks of CapturedOutbox let its workers begin nothing
        self._max_payload = max_payload
        self._disable_after = disable_after
        self._lease = lease
        self._timeout = timeout
        self._untrusted_urls = untrusted_urls
        self._installation = installation
        self._observers = Observers(observe)
        self._observers.refuse_raw("an Outbox")
        self._ringer: Ringer | None = None
        if bell is not None:
            self._ring_with(bell)
        self._pruning = Pruning(retention)
        # It is replaced, not changed: a signal handler may read it, and nobody waits to read it.
        self._dispatchers: tuple[Dispatcher, ...] = ()
        self._lock = Lock()
        self._paces: dict[str, Pace] = {}

    # Publishing

    @without_frames
    def publish(
        self,
        connection: object,
        event_type: str,
        payload: Payload,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        tenant: str = "",
    ) -> str:
        """Publish an event in the caller's transaction: it inserts one row, and nothing else.

        Args:
            connection: A connection or session of the outbox's database. The row is inserted in
                its transaction, which the caller commits.
            event_type: What has happened, such as `invoice.paid`.
            payload: bytes as they are, str as UTF-8; a dict, list, number, bool or None as JSON.
            key: Messages with the same key arrive in their order, at endpoints that ask for that.
            idempotency_key: If there is a message with this key already, nothing is inserted.
            tenant: Whose event it is: only endpoints of the same tenant get it.

        Returns:
            The id of the message, which receivers see; that of the first one, if the idempotency
            key was used before.

        Raises:
            ConfigurationError: An argument cannot be used.
            PayloadError: The payload cannot be serialised, or is too large.
            IdempotencyConflict: The idempotency key was used before, for another event.
        """
        adopted = self._database.adopted(connection)
        failure: Exception
        try:
            message_id = publish(
                adopted,
                event_type,
                payload,
                key=key,
                idempotency_key=idempotency_key,
                tenant=tenant,
                max_payload=self._max_payload,
            )
        except self._database.errors as error:
            failure = error
        else:
            self._database.after_commit(connection, self.ring)
            if self._ringer is not None and isinstance(self._database, SQLiteDatabase):
                self._ringer.ring()  # which waits for the caller's commit
            return message_id
        try:
            check_tables(adopted)
        except self._database.errors:  # the transaction is aborted
            self._database.run(check_tables)
        raise failure

    async def publish_async(
        self,
        connection: object,
        event_type: str,
        payload: Payload,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        tenant: str = "",
    ) -> str:
        """Publish an event in the transaction of an `AsyncSession` or an `AsyncConnection`.

        Args:
            connection: The session or connection, of SQLAlchemy.
            event_type: As for `publish()`.
            payload: As for `publish()`.
            key: As for `publish()`.
            idempotency_key: As for `publish()`.
            tenant: As for `publish()`.

        Returns:
            The id of the message, as for `publish()`.

        Raises:
            ConfigurationError: As for `publish()`.
            PayloadError: As for `publish()`.
            IdempotencyConflict: As for `publish()`.
        """
        call = partial(
            self.publish,
            event_type=event_type,
            payload=payload,
            key=key,
            idempotency_key=idempotency_key,
            tenant=tenant,
        )
        del payload  # error reporters show the local variables of every frame
        problem: Exception
        run_sync: Any = getattr(connection, "run_sync", None)
        if run_sync is None:
            problem = ConfigurationError(
                "publish_async() takes an AsyncSession or an AsyncConnection, "
                f"not a {type(connection).__name__}"
            )
        else:
            try:
                message_id: str = await run_sync(call)
            except Exception as error:  # noqa: BLE001  # it is raised below
                problem = error
            else:
                return message_id
        del call
        raise without_traceback(problem)

    def ring(self) -> None:
        """Let the workers of this process look at the tables now, and ring the engine's bell.

        It never raises nor waits.
        """
        for dispatcher in self._dispatchers:
            dispatcher.ring()
        if self._ringer is not None:
            self._ringer.ring()

    def _ring_with(self, bell: Callable[[], object]) -> None:
        if self._ringer is not None:
            msg = "the outbox has a bell already, and rings one engine only"
            raise ConfigurationError(msg)
        self._ringer = Ringer(self._database, bell)

    # The tables

    def migrate(self, connection: object = None) -> int:
        """Create the tables, or bring them to the newest version. It is safe to repeat.

        Args:
            connection: The caller's connection, such as that of a migration; by default one of its
                own.

        Returns:
            How many steps were taken.

        Raises:
            ConfigurationError: The tables belong to a newer release.
        """
        if connection is None:
            return self._database.run(self._migrated)
        return self._migrated(self._database.adopted(connection))

    def _migrated(self, connection: Connection) -> int:
        return migrate(connection, self._fingerprint(connection))

    def is_confirmed(self) -> bool:
        """Whether the tables were last used by this installation. If not, nothing is sent."""
        return self._run(self._is_confirmed)

    def confirm(self, connection: object = None) -> None:
        """Make the tables those of this installation, so that it sends what they have.

        Do it after a move. In a copy, it sends what the original sends, too.

        Args:
            connection: The caller's connection, whose transaction the caller commits; by default
                one of its own.
        """
        if connection is not None:
            self._confirm(self._database.adopted(connection))
            return
        self._run(self._confirm)
        self.ring()

    def _confirm(self, connection: Connection) -> None:
        confirm(connection, self._fingerprint(connection))

    def _is_confirmed(self, connection: Connection) -> bool:
        check_tables(connection)
        return is_confirmed(connection, self._fingerprint(connection))

    def _fingerprint(self, connection: Connection) -> str:
        if self._installation is not None:
            return fingerprint_of(self._installation, is_named=True)
        return fingerprint_of(self._database.identity(connection))

    # Endpoints

    @without_frames
    def add_endpoint(
        self,
        url: str,
        *,
        secret: str | Secret | None = None,
        secret_from: str | Sequence[str] = (),
        event_types: Sequence[str] = ("*",),
        tenant: str = "",
        scheme: Scheme | str = SCHEME,
        method: str = "POST",
        format: str | None = None,  # noqa: A002
        headers: Mapping[str, str] | None = None,
        headers_from: Mapping[str, str] | None = None,
        order: Order = "none",
        hold: float = 3600.0,
        concurrency: int = CONCURRENCY,
        rate: float | None = None,
        schedule: RetrySchedule = STANDARD_WEBHOOKS,
    ) -> Endpoint:
        """Add an endpoint. It gets the messages that are routed from now on.

        Args:
            url: The receiver's whole URL.
            secret: The shared secret, which is stored encrypted (`keys=` of the outbox).
            secret_from: Where the secret is instead, such as `env:NAME` or `file:/path`; several
                during a rotation, the newest first.
            event_types: The event types that it gets; `invoice.*` for all that begin with
                `invoice.`, `*` for all.
            tenant: Whose endpoint it is.
            scheme: How the receiver expects the signature. Choose one with an id and a time, if you
                can: receivers recognise repeats by the id.
            method: POST or PUT.
            format: The name of a format in `formats=` of the outbox; None to send payloads as they
                are.
            headers: Headers to send besides, stored encrypted. They replace those of the format
                with the same name.
            headers_from: Where the values of further headers are, such as `env:NAME`.
            order: `key` to deliver messages with the same key one after the other, in their order.
            hold: How long a message that fails holds back those after it, in seconds. Then they are
                sent before it.
            concurrency: How many attempts run at once.
            rate: How many attempts begin in a second; None for no limit.
            schedule: When to try again.

        Raises:
            ConfigurationError: An argument cannot be used.
        """
        endpoint = new_endpoint_id()
        self._formats.check(format)
        columns = columns_of(
            {
                "url": url,
                "event_types": event_types,
                "tenant": tenant,
                "scheme": scheme,
                "method": method,
                "format": format,
                "order": order,
                "hold": hold,
                "concurrency": concurrency,
                "rate": rate,
                "schedule": schedule,
            }
        )
        stored = self._stored(
            endpoint,
            columns["scheme"],
            secret,
            secret_from,
            headers=headers or {},
            headers_from=headers_from or {},
        )
        if "secrets" not in stored:
            msg = "an endpoint needs secret= or secret_from="
            raise ConfigurationError(msg)
        values = {"id": endpoint, **stored, **columns}

        def insert(connection: Connection) -> Endpoint:
            insert_endpoint(connection, values)
            return endpoint_row(connection, endpoint).endpoint

        return self._run(insert)

    @without_frames
    def change_endpoint(
        self,
        endpoint_id: str,
        *,
        secret: str | Secret | None = None,
        secret_from: str | Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        headers_from: Mapping[str, str] | None = None,
        tenant: str | None = None,
        **changes: Unpack[Changes],
    ) -> Endpoint:
        """Change an endpoint. What is not given stays as it is.

        Args:
            endpoint_id: The endpoint.
            secret: As for `add_endpoint()`. It replaces all secrets.
            secret_from: As for `add_endpoint()`. It replaces all secrets.
            headers: As for `add_endpoint()`. They replace all headers.
            headers_from: As for `add_endpoint()`. They replace all headers.
            tenant: Only if it is this tenant's. The tenant of an endpoint cannot be changed.
            changes: Any other argument of `add_endpoint()`.

        Raises:
            ConfigurationError: An argument cannot be used, or `url` leads to another receiver, and
                nothing says what headers that is to get.
            UnknownRecord: There is no such endpoint, or it is another tenant's.
        """
        unknown = changes.keys() - CHANGEABLE
        if unknown:
            msg = f"change_endpoint() cannot change {min(unknown)}="
            raise ConfigurationError(msg)
        self._formats.check(changes.get("format"))
        columns = columns_of(changes)
        if "concurrency" in columns:
            columns["ramp"] = columns["concurrency"]

        def change(connection: Connection) -> Endpoint:
            row = locked_endpoint_row(connection, endpoint_id, tenant)
            before = row.endpoint
            is_kept = headers is None and headers_from is None and before.header_names
            if is_kept and is_elsewhere(before.url, columns.get("url", before.url)):
                msg = (
                    "url= leads to another receiver, which would get the headers of this one: give "
                    "headers= or headers_from= again, or headers={} for none"
                )
                raise ConfigurationError(msg)
            scheme = columns.get("scheme", before.scheme)
            stored = self._stored(
                endpoint_id, scheme, secret, secret_from, headers=headers, headers_from=headers_from
            )
            if "secrets" not in stored:
                kept = in_use(row.secrets, time_of(connection), get(scheme).capacity)
                stored["secrets"] = json.dumps(kept)
            alter_endpoint(connection, endpoint_id, {**columns, **stored})
            return endpoint_row(connection, endpoint_id).endpoint

        return self._changed(change)

    def _stored(
        self,
        endpoint: str,
        scheme: str,
        secret: str | Secret | None,
        secret_from: str | Sequence[str],
        *,
        headers: Mapping[str, str] | None,
        headers_from: Mapping[str, str] | None,
    ) -> dict[str, str]:
        """Return the columns with what is given of secrets and headers.

        What no sender takes is refused here, and not when something is to be sent.
        """
        for name, given in (("headers", headers), ("headers_from", headers_from)):
            if given is not None and not isinstance(given, Mapping):
                msg = f"{name}= must be a dict, not a {type(given).__name__}"
                raise ConfigurationError(msg)
        if not isinstance(secret_from, str | list | tuple):
            msg = "secret_from= must be a reference such as env:NAME, or a list of them"
            raise ConfigurationError(msg)
        if secret is not None and secret_from:
            msg = "give secret= or secret_from=, not both"
            raise ConfigurationError(msg)
        own = secret if secret is None or isinstance(secret, Secret) else Secret(secret)
        known = get(scheme)
        stand_in = generate_secret(known.secret_format)
        every = {**(headers or {}), **dict.fromkeys(headers_from or {}, "somewhere else")}
        self._make_sender(own or stand_in, scheme=known, headers=every).close()
        columns: dict[str, str] = {}
        if own is not None:
            columns["secrets"] = json.dumps([self._vault.encrypted(endpoint, own)])
        elif secret_from:
            several = [secret_from] if isinstance(secret_from, str) else secret_from
            columns["secrets"] = json.dumps([self._vault.check(each) for each in several])
        if headers is not None or headers_from is not None:
            named = {
                name: self._vault.sealed(endpoint, value) for name, value in (headers or {}).items()
            }
            named |= {
                name: self._vault.check(value) for name, value in (headers_from or {}).items()
            }
            columns["headers"] = json.dumps(named)
        return columns

    @without_frames
    def rotate_secret(
        self,
        endpoint_id: str,
        secret: str | Secret,
        *,
        overlap: float = _DAY,
        tenant: str | None = None,
    ) -> Endpoint:
        """Give an endpoint a new secret. For a while, the old one signs, too.

        It is for secrets that are stored encrypted. A scheme with room for one signature gets that
        of the new secret at once.

        Args:
            endpoint_id: The endpoint.
            secret: The new secret.
            overlap: How long the old one signs beside it, in seconds, up to 30 days. Older ones
                that still do end then at the latest. 0 if the old one was stolen.
            tenant: Only if it is this tenant's; None for whatever tenant.

        Raises:
            ConfigurationError: An argument cannot be used, the secret is the same, or one of those
                so far is not stored encrypted.
            UnknownRecord: There is no such endpoint, or it is another tenant's.
        """
        number("overlap", overlap, 0, _LONGEST_OVERLAP)
        own = secret if isinstance(secret, Secret) else Secret(secret)

        def change(connection: Connection) -> Endpoint:
            row = locked_endpoint_row(connection, endpoint_id, tenant)
            if not all(map(is_encrypted, row.secrets)):
                msg = (
                    "rotate_secret() is for secrets that are stored encrypted, and this endpoint "
                    "names where its secret is: name both with change_endpoint(secret_from=[...])"
                )
                raise ConfigurationError(msg)
            scheme = get(row.endpoint.scheme)
            self._make_sender(own, scheme=scheme).close()  # which refuses what it does not take
            now = time_of(connection)
            several = self._vault.replaced(
                endpoint_id,
                in_use(row.secrets, now, scheme.capacity),
                own,
                end=now + int(overlap * 1000),
                most=scheme.capacity if overlap else 1,
            )
            alter_endpoint(connection, endpoint_id, {"secrets": json.dumps(several)})
            return endpoint_row(connection, endpoint_id).endpoint

        return self._changed(change)

    @without_frames
    def check_keys(self) -> int:
        """Decrypt all secrets and headers that are stored encrypted, and keep nothing.

        Without the right keys, a worker pauses each endpoint that it would send to. Call it before
        one starts. It reads 500 endpoints at a time, each in a short transaction.

        Returns:
            How many values were decrypted.

        Raises:
            ConfigurationError: One of them cannot be decrypted.
        """
        problems: list[tuple[str, str]] = []
        count = 0
        after = ""
        while found := self._run(partial(list_references, after=after, limit=_ENDPOINTS_AT_ONCE)):
            values = [
                (each, one) for each, several in found for one in several if is_encrypted(one)
            ]
            count += len(values)
            named = ((endpoint, self._vault.problem(endpoint, one)) for endpoint, one in values)
            problems += [(endpoint, problem) for endpoint, problem in named if problem]
            after, _ = found[-1]
        if not problems:
            return count
        endpoint, problem = problems[0]
        msg = (
            f"{len(problems)} of {count} stored secrets and headers cannot be decrypted, such as "
            f"one of the endpoint {endpoint}: {problem}. Give keys= the key that encrypted them. "
            "If it is lost, each endpoint needs a new secret"
        )
        raise ConfigurationError(msg)

    def rotate_keys(self) -> int:
        """Encrypt all secrets and headers anew, with the first one of `keys=`.

        After that, nothing in the tables needs the other keys.

        Returns:
            How many values were encrypted anew.

        Raises:
            ConfigurationError: One of them cannot be decrypted. Then nothing is changed.
        """
        problem = ""
        try:
            return self._changed(lambda each: replace_references(each, self._vault.rotated))
        except Unavailable as error:
            problem = str(error)
        raise ConfigurationError(problem)

    def endpoint(self, endpoint_id: str, *, tenant: str | None = None) -> Endpoint:
        """Return an endpoint.

        Args:
            endpoint_id: Its id.
            tenant: Only if it is this tenant's; None for whatever tenant.

        Raises:
            ConfigurationError: `tenant` cannot be one.
            UnknownRecord: There is none with this id, or it is another tenant's.
        """
        return self._run(lambda each: endpoint_row(each, endpoint_id, tenant).endpoint)

    def endpoints(
        self, *, tenant: str | None = None, after: str | None = None, limit: int | None = None
    ) -> list[Endpoint]:
        """Return the endpoints, in the order in which they were added.

        Args:
            tenant: Only those of one tenant.
            after: The id of the last endpoint of the page before.
            limit: How many, up to 1000; None for all.

        Raises:
            ConfigurationError: `tenant` or `limit` cannot be used.
            UnknownRecord: There is no endpoint `after`, or it is another tenant's.
        """
        if limit is not None:
            whole("limit", limit, 1, LONGEST_LIST)
        return self._run(lambda each: list_endpoints(each, tenant, after, limit))

    def delete_endpoint(self, endpoint_id: str, *, tenant: str | None = None) -> None:
        """Delete an endpoint. What is on its way to it is cancelled.

        Args:
            endpoint_id: The endpoint.
            tenant: Only if it is this tenant's.

        Raises:
            ConfigurationError: `tenant` cannot be one.
            UnknownRecord: There is none with this id, or it is another tenant's.
        """
        self._run(lambda each: remove_endpoint(each, endpoint_id, tenant))

    def pause(self, endpoint_id: str, message: str = "", *, tenant: str | None = None) -> bool:
        """Send an endpoint nothing more for now. What is published for it collects.

        Args:
            endpoint_id: The endpoint.
            message: Why, for those who look at it later.
            tenant: Only if it is this tenant's.

        Returns:
            Whether it was active.

        Raises:
            ConfigurationError: `tenant` cannot be one.
            UnknownRecord: There is none with this id, or it is another tenant's.
        """

        def pause(connection: Connection) -> bool:
            endpoint_row(connection, endpoint_id, tenant)
            return stop_endpoint(connection, endpoint_id, "paused", "operator", shown(message))

        return self._run(pause)

    def resume(self, endpoint_id: str, *, tenant: str | None = None) -> bool:
        """Send to an endpoint again, beginning with what is due.

        Args:
            endpoint_id: The endpoint.
            tenant: Only if it is this tenant's.

        Returns:
            Whether it was paused or disabled.

        Raises:
            ConfigurationError: `tenant` cannot be one.
            UnknownRecord: There is none with this id, or it is another tenant's.
        """
        return self._changed(lambda each: resume_endpoint(each, endpoint_id, tenant))

    @without_frames
    def send_test(
        self,
        endpoint_id: str,
        *,
        event_type: str = "test",
        payload: Payload = _TEST,
        tenant: str | None = None,
    ) -> int:
        """Send a test to one endpoint alone, whatever its event types are.

        A worker sends it like anything else, and tries again. It is in no order.

        Args:
            endpoint_id: The endpoint.
            event_type: The event type of the test.
            payload: As for `publish()`.
            tenant: Only if it is this tenant's; None for whatever tenant.

        Returns:
            The id of the delivery, for `attempts()`.

        Raises:
            EndpointNotActive: The endpoint is paused or disabled.
            ConfigurationError: An argument cannot be used.
            UnknownRecord: There is no such endpoint, or it is another tenant's.
            PayloadError: As for `publish()`.
        """

        def insert(connection: Connection) -> int:
            connection.rows(LOCK_ROUTING)  # so that the endpoint is not deleted meanwhile
            endpoint = endpoint_row(connection, endpoint_id, tenant).endpoint
            if endpoint.state != "active":
                raise EndpointNotActive(endpoint.id, endpoint.state)
            message_id = publish(
                connection,
                event_type,
                payload,
                key=None,
                idempotency_key=None,
                tenant=endpoint.tenant,
                max_payload=self._max_payload,
            )
            return route_to(connection, time_of(connection), message_id, endpoint.id)

        return self._changed(insert)

    # What was sent, and sending it once more

    def for_tenant(self, record: Record) -> Record:
        """Return a record as it may be shown to whoever chose the URL (`untrusted_urls=`).

        In it, an address that is not allowed, a name that does not exist, a port that is closed, a
        certificate that is not trusted and a receiver that keeps silent are all the same. What a
        receiver has answered stays.

        Args:
            record: An `AttemptRecord`, a `DeliveryRecord`, an `Endpoint` or `EndpointNumbers`.
        """
        return masked(record, self._timeout)

    def message(self, message_id: str, *, tenant: str | None = None) -> Message:
        """Return a message.

        Args:
            message_id: Its id.
            tenant: Only if it is this tenant's; None for whatever tenant.

        Raises:
            ConfigurationError: `tenant` cannot be one.
            UnknownRecord: There is none with this id, or it is another tenant's.
        """
        return self._run(lambda each: find_message(each, message_id, tenant))

    def payload(self, message_id: str, *, tenant: str | None = None) -> bytes:
        """Return the bytes that are sent of a message.

        Args:
            message_id: The id of the message.
            tenant: Only if it is this tenant's; None for whatever tenant.

        Raises:
            ConfigurationError: `tenant` cannot be one.
            UnknownRecord: There is no message with this id, or it is another tenant's.
        """
        return self._run(lambda each: find_payload(each, message_id, tenant))

    def messages(
        self,
        *,
        tenant: str | None = None,
        event_types: Sequence[str] | str | None = None,
        since: float | None = None,
        until: float | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Message]:
        """Return messages, the newest first, also those that no endpoint takes.

        Args:
            tenant: Only those of a tenant. With it, no row of another tenant is read.
            event_types: Only those of one of these event types, `invoice.*` for all that begin with
                `invoice.`.
            since: Only those that were published since then, in Unix seconds.
            until: Only those that were published until then, in Unix seconds.
            before: The id of the last message of the page before.
            limit: How many, up to 1000.

        Raises:
            ConfigurationError: An argument cannot be used.
            UnknownRecord: There is no message `before`, or it is another tenant's.
        """
        whole("limit", limit, 1, LONGEST_LIST)
        types = () if event_types is None else types_of(event_types)
        return self._run(
            lambda each: list_messages(
                each,
                tenant=tenant,
                event_types=types,
                since=since,
                until=until,
                before=before,
                limit=limit,
            )
        )

    def delivery(self, delivery_id: int, *, tenant: str | None = None) -> DeliveryRecord:
        """Return a delivery.

        Args:
            delivery_id: Its id.
            tenant: Only if it is this tenant's; None for whatever tenant.

        Raises:
            ConfigurationError: `tenant` cannot be one.
            UnknownRecord: There is none with this id, or it is another tenant's.
        """
        return self._run(lambda each: find_delivery(each, delivery_id, tenant))

    def deliveries(
        self,
        *,
        message: str | None = None,
        endpoint: str | None = None,
        tenant: str | None = None,
        event_types: Sequence[str] | str | None = None,
        states: Sequence[str] | str | None = None,
        since: float | None = None,
        until: float | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[DeliveryRecord]:
        """Return deliveries, the newest first.

        Args:
            message: Only those of a message; also by the id that a receiver saw.
            endpoint: Only those for an endpoint.
            tenant: Only those of a tenant.
            event_types: Only those of messages of one of these event types, `invoice.*` for all
                that begin with `invoice.`.
            states: Only those in one of these states, such as `dead`.
            since: Only those of messages that were published since then, in Unix seconds.
            until: Only those of messages that were published until then, in Unix seconds.
            before: The id of the last delivery of the page before.
            limit: How many, up to 1000.

        Raises:
            ConfigurationError: An argument cannot be used.
        """
        whole("limit", limit, 1, LONGEST_LIST)
        selection = Selection(
            message=message,
            endpoint=endpoint,
            tenant=tenant,
            event_types=() if event_types is None else types_of(event_types),
            states=None if states is None else states_of(states),
            since=since,
            until=until,
        )
        return self._run(lambda each: list_deliveries(each, selection, before=before, limit=limit))

    def attempts(self, delivery: int, *, tenant: str | None = None) -> list[AttemptRecord]:
        """Return the attempts of a delivery, the first one first.

        Args:
            delivery: The id of the delivery. If there is none with it, there are no attempts.
            tenant: Only if the delivery is this tenant's. Else there are no attempts.

        Raises:
            ConfigurationError: It is not a whole number, or `tenant` cannot be one.
        """
        return self._run(lambda each: list_attempts(each, delivery, tenant))

    def send_again(
        self,
        *,
        delivery: int | None = None,
        message: str | None = None,
        endpoint: str | None = None,
        states: Sequence[str] | str = ("dead",),
        since: float | None = None,
        until: float | None = None,
        tenant: str | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Send deliveries that have ended once more, with the same id.

        A receiver that has had a message recognises its id, and does nothing. To have it handled
        again, use `send_as_new()`.

        Args:
            delivery: One delivery, whatever its state is.
            message: All deliveries of a message, whatever their states are.
            endpoint: Those for an endpoint.
            states: Which of them: `dead`, `delivered` or `cancelled`.
            since: Only those of messages that were published since then, in Unix seconds.
            until: Only those of messages that were published until then, in Unix seconds.
            tenant: Only those of this tenant, whatever else is given.
            progress: Gets the number of deliveries so far, now and then.

        Returns:
            How many are sent again.

        Raises:
            ConfigurationError: Nothing says which deliveries are meant.
        """
        selection = _selection(
            states,
            delivery=delivery,
            message=message,
            endpoint=endpoint,
            since=since,
            until=until,
            tenant=tenant,
        )
        return self._each_chosen(selection, send_again, progress)

    def send_as_new(
        self,
        *,
        delivery: int | None = None,
        message: str | None = None,
        endpoint: str | None = None,
        states: Sequence[str] | str = ("dead",),
        since: float | None = None,
        until: float | None = None,
        tenant: str | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Send deliveries that have ended once more, with a new id.

        To a receiver, each is another event: it handles it again.

        Args:
            delivery: As for `send_again()`.
            message: As for `send_again()`.
            endpoint: As for `send_again()`.
            states: As for `send_again()`.
            since: As for `send_again()`.
            until: As for `send_again()`.
            tenant: As for `send_again()`.
            progress: As for `send_again()`.

        Returns:
            How many are sent.

        Raises:
            ConfigurationError: Nothing says which deliveries are meant.
        """
        selection = _selection(
            states,
            delivery=delivery,
            message=message,
            endpoint=endpoint,
            since=since,
            until=until,
            tenant=tenant,
        )
        return self._each_chosen(selection, send_as_new, progress)

    def _each_chosen(
        self,
        selection: Selection,
        change: Callable[[Connection, Sequence[int]], int],
        progress: Callable[[int], object] | None,
    ) -> int:
        # Deliveries that are made meanwhile are not meant.
        newest = self._run(newest_delivery)
        count = after = 0
        while True:

            def step(connection: Connection, after: int = after) -> tuple[int, int | None]:
                connection.rows(LOCK_ROUTING)  # so that no endpoint is deleted meanwhile
                ids = chosen_deliveries(connection, selection, after, newest)
                return change(connection, ids), ids[-1] if ids else None

            changed, last = self._run(step)
            count += changed
            if progress is not None:
                progress(count)
            if last is None:
                self.ring()
                return count
            after = last

    def numbers(self, *, tenant: str | None = None, endpoint: str | None = None) -> Numbers:
        """Return what is due and for how long, and how the attempts of each endpoint went.

        Args:
            tenant: Only of this tenant. With it, no delivery of another tenant is counted.
            endpoint: Only of this endpoint, and the messages of its tenant that are not routed yet.

        Raises:
            ConfigurationError: `tenant` cannot be one.
            UnknownRecord: There is no such endpoint, or it is another tenant's.
        """

        def count(connection: Connection) -> Numbers:
            owner = tenant
            if endpoint is not None:
                owner = endpoint_row(connection, endpoint, tenant).endpoint.tenant
            return count_numbers(connection, owner, endpoint)

        return self._run(count)

    # Sending

    def drain(
        self,
        *,
        budget: float = 30.0,
        slots: int = SLOTS,
        linger: float = 0.0,
        most: int | None = None,
    ) -> bool:
        """Send what is due now, and return when nothing is. An engine calls it for each bell.

        If something is left, it rings the bell before it returns.

        Args:
            budget: After how many seconds it begins nothing more.
            slots: As for `Worker`.
            linger: How long it waits for what becomes due soon, such as a retry, in seconds. An
                engine passes the time between two calls of its scheduler.
            most: The most processes that may send at once. If so many send already, it returns
                at once. None for no limit.

        Returns:
            Whether something is left that is due, or becomes due within `linger`. False if it did
            nothing, because of `most` or because nobody has confirmed the installation.

        Raises:
            ConfigurationError: An argument cannot be used, or the tables are of another version.
        """
        whole("slots", slots, 1, MOST_SLOTS)
        number("budget", budget, 0, 3600)
        number("linger", linger, 0, 3600)
        if most is not None:
            whole("most", most, 1, _MOST_PROCESSES)
        if self._holds:
            return False
        dispatcher = self._dispatcher(slots)
        try:
            if not self._run(lambda each: answer(each, most, self._lease)):
                return False
            is_left = dispatcher.run(budget=budget, until_done=True, linger=linger)
        finally:
            self._forget(dispatcher)
        if is_left and self._ringer is not None:
            # Not in a thread: this process may end now.
            self._ringer.ring_here()
        return is_left

    def _dispatcher(self, slots: int) -> Dispatcher:
        self._run(check_tables)
        options = Options(
            database=self._database,
            senders=lambda clock: Senders(
                self._vault,
                partial(self._make_sender, clock=clock),
                self._formats,
                clock,
            ),
            lease=self._lease,
            disable_after=self._disable_after,
            pruning=self._pruning,
            tell=self._tell,
            is_confirmed=self._is_confirmed,
            paces=self._paces,
            silence=self._timeout + MARGIN if self._untrusted_urls else None,
            is_held=lambda: self._holds > 0,
        )
        dispatcher = Dispatcher(options, slots)
        with self._lock:
            self._dispatchers = (*self._dispatchers, dispatcher)
        return dispatcher

    def _forget(self, dispatcher: Dispatcher) -> None:
        with self._lock:
            self._dispatchers = tuple(each for each in self._dispatchers if each is not dispatcher)

    def _run(self, work: Callable[[Connection], _T]) -> _T:
        """Run a function in a transaction. If it fails without tables, say so."""
        failure: Exception
        try:
            return self._database.run(work)
        except self._database.errors as error:
            failure = error
        self._database.run(check_tables)
        raise failure

    def _changed(self, work: Callable[[Connection], _T]) -> _T:
        result = self._run(work)
        self.ring()
        return result

    def _tell(self, event: OutboxEvent) -> None:
        if self._observers.has_log:
            log(event)
        if self._observers.sees_all:
            self._observers.tell(event)

    def close(self) -> None:
        """Close the connections that are idle. The outbox can still be used."""
        self._database.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {self._database!r}>"


def _database_of(given: Database | str | os.PathLike[str]) -> Database:
    if isinstance(given, str | os.PathLike):
        return SQLiteDatabase(given)
    if isinstance(given, type) or not all(hasattr(given, each) for each in ("run", "dialect")):
        msg = (
            "database= must be the path of a SQLite file, or a database such as SQLiteDatabase, "
            f"not a {type(given).__name__}"
        )
        raise ConfigurationError(msg)
    return given


def _selection(
    states: Sequence[str] | str,
    *,
    delivery: int | None,
    message: str | None,
    endpoint: str | None,
    since: float | None,
    until: float | None,
    tenant: str | None,
) -> Selection:
    if all(each is None for each in (delivery, message, endpoint, since, until)):
        msg = "say which deliveries: delivery=, message=, endpoint=, since= or until="
        raise ConfigurationError(msg)
    if delivery is not None or message is not None:
        states = _ENDED
    wanted = states_of(states)
    if not all(each.is_final for each in wanted):
        msg = f"states= must be among {', '.join(_ENDED)}: others are sent anyway"
        raise ConfigurationError(msg)
    return Selection(
        delivery=delivery,
        message=message,
        endpoint=endpoint,
        tenant=tenant,
        states=wanted,
        since=since,
        until=until,
    )
