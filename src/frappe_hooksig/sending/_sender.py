"""`Sender`: signs a payload and delivers it, one attempt at a time."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from frappe_hooksig._frappe import FRAPPE
from frappe_hooksig._keys import redacted
from frappe_hooksig._payload import Payload, new_id
from frappe_hooksig._secret_checks import masked_unless
from frappe_hooksig._template import is_method
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.observe._attempt_event import AttemptEvent, AttemptObserver
from frappe_hooksig.observe._log import log
from frappe_hooksig.observe._threads import Observers
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secrets
from frappe_hooksig.sending._attempt import (
    LONGEST_ANSWER,
    Attempt,
    outcome_of,
    retry_after,
    said,
    shown,
)
from frappe_hooksig.sending._connection import GONE, Connection, connect
from frappe_hooksig.sending._deadline import Deadline
from frappe_hooksig.sending._exchange import PROBLEMS, Response, exchange, problem_of
from frappe_hooksig.sending._guard import AddressGuard
from frappe_hooksig.sending._lookup import Address, look_up
from frappe_hooksig.sending._pool import Pool
from frappe_hooksig.sending._proxy import Proxy
from frappe_hooksig.sending._request import OwnHeaders, Request, check_scheme
from frappe_hooksig.sending._target import Target
from frappe_hooksig.sign import Signer

if TYPE_CHECKING:
    from typing_extensions import Self

_LONGEST_TIMEOUT = 3600  # seconds
_ID: Final = re.compile("[!-~]{1,255}")  # the scheme may take less

_PUBLIC: Final = AddressGuard()

# Signed in the place of a URL that cannot be used, so that payload and id are checked all the same.
_NO_URL: Final = "https://unusable.invalid/"


class _Blocked(Exception):
    """Nothing may be sent to an address."""


class Sender:
    """Signs payloads and sends them to receivers. Create it once; threads may share it.

    It sends once. Whether and when to try again is for the caller to decide, with the same id:
    each attempt is signed anew. Receivers may get a message more than once, also in one attempt.

    Redirects are not followed, and proxies in environment variables are ignored.

    Args:
        secret: The shared secret; a list during a rotation, the newest first.
        scheme: How the receiver expects the signature.
        method: The HTTP method.
        headers: Headers to send besides, such as Authorization. They cannot replace the signature.
        guard: The addresses that may be connected to. By default, those of the public internet.
        timeout: How long an attempt may take in total, in seconds, up to 3600.
        proxy: The URL of a proxy, such as `http://user:password@proxy:3128`, which connects to all
            receivers (CONNECT), also to those of http://. The guard does not judge its own address.
            Names are looked up here, because the guard judges addresses: the proxy is asked for an
            address. So it does not work where internal machines cannot resolve public names, or
            where the proxy filters by name. Squid refuses CONNECT to port 80 by default.
        ssl_context: How to encrypt, for example with certificates of your own. It is used as it is:
            a context with `check_hostname` or `verify_mode` turned off is not made safe.
        observe: A function, or several, that get an event for each attempt; see
            `frappe_hooksig.observe`. List `log` too if you want to keep it.
        clock: Returns the current time, in Unix seconds.

    Raises:
        ConfigurationError: An argument cannot be used.
    """

    __slots__ = (
        *("_clock", "_context", "_guard", "_headers", "_method", "_observers"),
        *("_pool", "_proxy", "_signer", "_timeout"),
    )

    def __init__(
        self,
        secret: Secrets | None,
        *,
        scheme: Scheme = FRAPPE,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        guard: AddressGuard = _PUBLIC,
        timeout: float = 15.0,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        observe: AttemptObserver | Sequence[AttemptObserver] = log,
        clock: Callable[[], float] = time.time,
    ) -> None:
        several = redacted(secret)
        scheme = masked_unless(Scheme, scheme)
        del secret  # error reporters show the local variables of every frame
        own = OwnHeaders.of(headers, scheme) if isinstance(scheme, Scheme) else ""
        via = None if proxy is None else Proxy.of(proxy)
        del headers, proxy  # these may have passwords
        self._signer = Signer(several, scheme=scheme, clock=clock)
        if isinstance(own, str):
            raise ConfigurationError(own)
        if isinstance(via, str):
            raise ConfigurationError(via)
        check_scheme(scheme)
        _check(method, timeout, guard)
        _check_tools(ssl_context, clock)
        self._method = method
        self._headers = own
        self._guard = guard
        self._timeout = timeout
        self._proxy = via
        self._context = ssl_context
        self._observers = Observers(observe)
        self._observers.refuse_raw("a Sender")
        self._clock = clock
        self._pool = Pool()

    def send(
        self,
        url: str,
        payload: Payload,
        *,
        id: str | None = None,  # noqa: A002
        headers: Mapping[str, str] | None = None,
    ) -> Attempt:
        """Sign a payload and send it. Say what became of it.

        Nothing that a receiver, a name server or a URL does is an exception.

        Args:
            url: The receiver's whole URL. If the scheme signs it, write it as the receiver has
                registered it: `:443` and capital letters are signed as they are, a fragment is not.
            payload: bytes as they are, str as UTF-8; a dict, list, number, bool or None as JSON.
            id: The id of the message. By default a new one; pass `Attempt.id` for each retry. It is
                signed and sent if the scheme has a header for it.
            headers: Further headers of this request. They replace those of the constructor with the
                same name, and cannot replace the signature.

        Raises:
            PayloadError: The payload cannot be turned into bytes.
            ConfigurationError: The id does not fit the scheme, a header cannot be sent, or no
                secret is valid now.
        """
        started = time.monotonic()
        target, problem = _target_of(url)
        scheme = self._signer.scheme
        own = self._headers if headers is None else self._with(headers)
        del headers  # these may have passwords
        try:
            if isinstance(own, str):
                raise ConfigurationError(own)  # noqa: TRY301  # below, the payload is forgotten
            message_id = _id_of(id)
            signed = self._signer.sign(
                payload,
                id=None if scheme.id_header is None else message_id,
                method=self._method,
                url=None if not scheme.signs_url else _NO_URL if target is None else target.signed,
            )
        except Exception:
            del url, payload  # error reporters show the local variables of every frame
            raise
        del url, payload
        if target is None:
            attempt = Attempt(
                outcome="blocked",
                id=message_id,
                reason="bad-url",
                message=shown(problem),
                seconds=time.monotonic() - started,
            )
        else:
            request = Request(self._method, target, signed, own)
            attempt = self._attempt(target, request, message_id, started)
        if self._observers.sees_all or not attempt.is_delivered:
            self._tell(attempt, target, len(signed.body))
        return attempt

    def _with(self, headers: Mapping[str, str]) -> OwnHeaders | str:
        """Return the headers of one request, or what is wrong with them."""
        scheme = self._signer.scheme
        further = OwnHeaders.of(headers, scheme)
        return further if isinstance(further, str) else self._headers.replaced_by(further, scheme)

    def _tell(self, attempt: Attempt, target: Target | None, body_length: int) -> None:
        """Tell the observers. Nothing that they do changes the attempt."""
        endpoint = ""
        if target is not None:
            host = f"[{target.host}]" if ":" in target.host else target.host
            endpoint = f"{'https' if target.is_https else 'http'}://{host}:{target.port}"
        event = AttemptEvent(
            kind=attempt.outcome,
            endpoint=endpoint,
            scheme=self._signer.scheme.name,
            method=self._method,
            id=attempt.id,
            reason=attempt.reason,
            message=attempt.message,
            status=attempt.status,
            seconds=attempt.seconds,
            body_length=body_length,
        )
        if self._observers.has_log:
            with suppress(Exception):  # a filter or a handler of the app's log has failed
                log(event)
        if self._observers.sees_all:
            self._observers.wait_here(self._observers.tell(event))

    def _attempt(
        self, target: Target, request: Request, message_id: str, started: float
    ) -> Attempt:
        facts: dict[str, Any]
        visit = _Visit()
        try:
            response = self._answer(target, request, visit)
        except _Blocked as blocked:
            reason, message = "address-not-allowed", shown(str(blocked))
            facts = {"outcome": "blocked", "reason": reason, "message": message}
        except PROBLEMS as error:
            reason, message = problem_of(error, self._timeout)
            facts = {"outcome": "unreachable", "reason": reason, "message": shown(message)}
        else:
            facts = self._facts_of(response)
        return Attempt(
            id=message_id, seconds=time.monotonic() - started, address=visit.address, **facts
        )

    def _facts_of(self, response: Response) -> dict[str, Any]:
        reason, message = said(response.status, response.body)
        return {
            "outcome": outcome_of(response.status),
            "status": response.status,
            "reason": reason,
            "message": message,
            "answer": response.body,
            "retry_after": retry_after(response.headers.get_all("Retry-After"), self._clock()),
        }

    def _answer(self, target: Target, request: Request, visit: _Visit) -> Response:
        deadline = Deadline(self._timeout)
        connection = self._pool.take(target)
        if connection is not None:
            visit.address = connection.address
            try:
                return self._exchanged(target, request, connection, deadline)
            except GONE:
                # The receiver closed the connection, usually because it was idle. It may have got
                # the request all the same. Receivers must expect that anyway: webhooks are
                # delivered at least once, and the id is the same.
                if connection.has_answer:
                    raise
        visit.address = None
        connection = self._connected(target, deadline)
        visit.address = connection.address
        return self._exchanged(target, request, connection, deadline)

    def _connected(self, target: Target, deadline: Deadline) -> Connection:
        addresses = look_up(target.host, target.port, deadline)
        self._judge(addresses, target.host)
        return connect(target, addresses, deadline, proxy=self._proxy, context=self._context)

    def _judge(self, addresses: list[Address], host: str) -> None:
        """Refuse all addresses of a host if one of them is not allowed.

        Raises:
            _Blocked: One of the addresses is not allowed.
        """
        for address in addresses:
            objection = self._guard.objection(address.text, host)
            if objection is not None:
                msg = f"the host's address is not allowed: {objection}"
                raise _Blocked(msg)

    def _exchanged(
        self, target: Target, request: Request, connection: Connection, deadline: Deadline
    ) -> Response:
        is_last = True
        try:
            connection.begin(deadline)
            response = exchange(
                connection, request.pieces, method=self._method, longest=LONGEST_ANSWER
            )
            is_last = response.is_last
        finally:
            if is_last:
                connection.close()
            else:
                self._pool.keep(target, connection)
        return response

    def close(self) -> None:
        """Close the connections that are kept. Later messages can still be sent."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if not hasattr(self, "_pool"):
            return f"<{type(self).__name__}, refused>"
        return f"<{type(self).__name__} of {self._signer.scheme.name}>"


class _Visit:
    """Where an attempt led.

    Attributes:
        address: The address of the receiver, or None.
    """

    __slots__ = ("address",)

    def __init__(self) -> None:
        self.address: str | None = None


def _id_of(given: object) -> str:
    """Return the id of a message, a new one if none is given.

    Raises:
        ConfigurationError: `id` is not 1 to 255 characters of printable ASCII.
    """
    if given is None:
        return new_id()
    if not isinstance(given, str) or not _ID.fullmatch(given):
        msg = "id= must be 1 to 255 characters of printable ASCII, without spaces"
        raise ConfigurationError(msg)
    return given


def _target_of(url: object) -> tuple[Target | None, str]:
    """Return where a URL leads, or what is wrong with it."""
    if not isinstance(url, str):
        return None, f"the URL must be a str, not {type(url).__name__}"
    try:
        return Target.of(url), ""
    except ValueError as error:
        return None, str(error)


def _check(method: str, timeout: float, guard: object) -> None:
    """Refuse options that cannot be used.

    Raises:
        ConfigurationError: `method`, `timeout` or `guard` cannot be used.
    """
    if not isinstance(method, str) or not is_method(method):
        msg = "method= must be upper-case letters, such as POST"
        raise ConfigurationError(msg)
    if method == "CONNECT":
        msg = "method= must not be CONNECT, which asks a proxy for a connection"
        raise ConfigurationError(msg)
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not is_number or not 0 < timeout <= _LONGEST_TIMEOUT:
        msg = f"timeout= must be a number of seconds, up to {_LONGEST_TIMEOUT}"
        raise ConfigurationError(msg)
    if not isinstance(guard, AddressGuard):
        msg = f"guard= must be an AddressGuard, not a {type(guard).__name__}"
        raise ConfigurationError(msg)


def _check_tools(ssl_context: object, clock: object) -> None:
    """Refuse tools that cannot be used.

    Raises:
        ConfigurationError: `ssl_context` is no context for clients, or `clock` is no function.
    """
    if not isinstance(ssl_context, ssl.SSLContext | None):
        msg = f"ssl_context= must be an ssl.SSLContext, not a {type(ssl_context).__name__}"
        raise ConfigurationError(msg)
    if ssl_context is not None and ssl_context.protocol == ssl.PROTOCOL_TLS_SERVER:
        msg = "ssl_context= is for servers: use ssl.create_default_context()"
        raise ConfigurationError(msg)
    if not callable(clock):
        msg = "clock= must be a function that returns the time, such as time.time"
        raise ConfigurationError(msg)
