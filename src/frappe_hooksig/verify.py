"""Verifying what was received: the one interface behind which every scheme lives."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from hmac import compare_digest
from inspect import iscoroutinefunction
from math import isfinite, nan
from typing import TypeAlias

from frappe_hooksig.delivery import Delivery, VerifiedRequest
from frappe_hooksig.exceptions import (
    BodyTooLarge,
    ConfigurationError,
    Reason,
    TimestampOutOfTolerance,
    VerificationError,
)
from frappe_hooksig.headers import Headers
from frappe_hooksig.providers import FRAPPE
from frappe_hooksig.scheme import Presented, Scheme, require_scheme
from frappe_hooksig.secret import ALWAYS, Hash, Key, Secrets, redacted
from frappe_hooksig.timestamp import is_tolerance

#: The largest accepted body, in bytes: what Frappe itself takes.
MAX_BODY = 25 * 1024 * 1024

#: Finds in a verified delivery when it was made: Unix seconds or an aware datetime.
SignedAt: TypeAlias = Callable[[Delivery], float | datetime | None]

_URL = re.compile(r"https?://[!-~]+")

# How far a time out of the body may be from now, in seconds: it is made before queues, not after.
_BODY_TOLERANCE = 24 * 60 * 60


class Verifier:
    """Checks that requests come from who knows the secret. Made once, used for every request.

    Safe to share between threads: nothing in it changes.

    Args:
        secret: The shared secret; a list during a rotation, the newest first.
        scheme: How the sender lays out its signature.
        tolerance: How far a signed timestamp may be from now, either way, in seconds. By default
            the scheme's own (`Scheme.tolerance`); with `signed_at`, 24 hours, because queues lag.
        signed_at: Finds in the body when a delivery was made, for schemes that sign no time: a
            function of the verified `Delivery` that returns Unix seconds or an aware datetime, such
            as `frappe_hooksig.freshness.body_time()` makes. Where clocks were put back over a
            datetime, the reading that is nearer to now counts. If it raises a `LookupError`, a
            `TypeError` or a `ValueError`, or returns anything else, the request is refused.
        url: The URL as it is registered with the sender, for schemes that sign it; or several of
            them. Then a request's own has to be one of those.
        max_body: The largest accepted body, in bytes.
        clock: Returns now, in Unix seconds.

    Raises:
        ConfigurationError: The secret cannot be used, or an option makes no sense.
    """

    __slots__ = (
        "_clock",
        "_has_windows",
        "_judge",
        "_keys",
        "_max_body",
        "_scheme",
        "_signed_at",
        "_tolerance",
        "_urls",
    )

    def __init__(
        self,
        secret: Secrets | None,
        *,
        scheme: Scheme = FRAPPE,
        tolerance: float | None = None,
        signed_at: SignedAt | None = None,
        url: str | Sequence[str] | None = None,
        max_body: int = MAX_BODY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        several = redacted(secret)
        del secret  # error reporters show the local variables of every frame
        require_scheme(scheme)
        if not (isinstance(max_body, int) and max_body >= 0):
            msg = "max_body is a number of bytes, from 0"
            raise ConfigurationError(msg)
        self._scheme = scheme
        self._judge = self._judge_macs if scheme.signs_body else self._judge_tokens
        self._urls = registered(scheme, url)
        self._tolerance = checked_tolerance(scheme, tolerance, signed_at)
        self._signed_at = signed_at
        self._max_body = max_body
        self._clock = clock
        self._keys = scheme.keys(several)
        self._has_windows = any(key.window != ALWAYS for key in self._keys)

    @property
    def scheme(self) -> Scheme:
        """How the sender lays out its signature."""
        return self._scheme

    @property
    def tolerance(self) -> float | None:
        """How far the time of a delivery may be from now, in seconds; None if none is known."""
        return self._tolerance

    @property
    def signed_at(self) -> SignedAt | None:
        """What finds the time of a delivery in its body."""
        return self._signed_at

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs that are registered with the sender; none if it was not told."""
        return self._urls

    @property
    def keys(self) -> Sequence[Key]:
        """What the secrets were made into."""
        return self._keys

    @property
    def max_body(self) -> int:
        """The largest accepted body, in bytes."""
        return self._max_body

    def verify(
        self, body: bytes, headers: Headers, *, method: str | None = None, url: str | None = None
    ) -> Delivery:
        """Return what can be trusted, or raise.

        Whatever a stranger sends, nothing but `VerificationError` is raised.

        Args:
            body: The raw body, exactly as it came. Not parsed JSON, not a str: only these bytes
                were signed.
            headers: The request's headers: any framework's, a dict, or (name, value) pairs.
            method: The HTTP method; looked at only if the scheme signs it.
            url: The URL as registered with the sender; looked at only if the scheme signs it, and
                not needed if the verifier was given the only one there is.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
            TypeError: The body is not bytes.
            ConfigurationError: The scheme signs the method or the URL, and it was not given.
        """
        if not isinstance(body, bytes):
            raise _not_bytes(body)
        if self._urls:
            url = only_registered(self._urls, url)
        presented = self._scheme.parse(headers, method, url)
        if len(body) > self._max_body:
            raise BodyTooLarge(self._max_body)
        return self._accept(self._keys, body, presented)

    def begin(
        self, headers: Headers, *, method: str | None = None, url: str | None = None
    ) -> Verification:
        """Read the headers now, and verify the body when it has come.

        For large bodies, which nobody has to hold, and for receivers that leave a body unread if
        its headers are wrong already.

        Args:
            headers: The request's headers.
            method: As for `verify()`.
            url: As for `verify()`.

        Raises:
            VerificationError: A header is missing, doubled or malformed, or the URL is another.
            ConfigurationError: The scheme signs the method or the URL, and it was not given.
        """
        if self._urls:
            url = only_registered(self._urls, url)
        return self.expect(self._scheme.parse(headers, method, url))

    def expect(self, presented: Presented) -> Verification:
        """Do what `begin()` does once the headers are parsed; for adapters.

        Raises:
            ConfigurationError: They were parsed by another scheme.
        """
        if presented[0] is not self._scheme:
            msg = f"the headers were not read as {self._scheme.name!r}, which this verifier is for"
            raise ConfigurationError(msg)
        is_whole = self._signed_at is not None
        return Verification(presented, self._keys, self._max_body, self._accept, is_whole)

    def _accept(self, keys: Sequence[Key], body: bytes, presented: Presented) -> Delivery:
        """Return what one of the keys signed, if it was in time."""
        all_keys = keys
        if self._has_windows:
            now = self._clock()
            keys = [key for key in all_keys if key.is_valid_at(now)]
        key_id, mistake = self._judge(keys, body, presented)
        if key_id is None:
            reason, detail = Reason.WRONG_ENCODING, mistake
            if not mistake:
                reason = Reason.SIGNATURE_MISMATCH
                others = [key for key in all_keys if key not in keys]
                if self._judge(others, body, presented)[0] is not None:
                    detail = "is a secret's that is not valid now: not_before, not_after"
                elif not self._scheme.signs_body:
                    detail = "is another secret"
            raise VerificationError(reason, self._scheme.signature_headers[0], detail)
        if key_id is not keys[0].id:
            _tell_of_old(self._scheme, key_id)
        delivery = Delivery(body, key_id, presented)
        if self._tolerance is not None:
            now = self._clock()
            if self._signed_at is not None:
                presented = _timed(presented, _found_time(self._signed_at, delivery, now))
                delivery = Delivery(body, key_id, presented)
            timestamp = presented[2]  # alone, as to unpack all of it takes longer
            age = now - (nan if timestamp is None else timestamp)
            # Written so that NaN, from the clock or for a time that is not there, is refused.
            if not -self._tolerance <= age <= self._tolerance:
                raise TimestampOutOfTolerance(age, self._tolerance, self._scheme.timestamp_place)
        return delivery

    def _judge_tokens(
        self, keys: Sequence[Key], _body: bytes, presented: Presented
    ) -> tuple[str | int | None, str]:
        """Return the id of the key that was sent."""
        matched: str | int | None = None
        for key in keys:  # each of them, as below
            for given in presented[1]:
                if compare_digest(key.token, given) and matched is None:
                    matched = key.id
        return matched, ""

    def _judge_macs(  # noqa: C901  # one function, as the expected MACs must not leave it
        self, keys: Sequence[Key], body: bytes, presented: Presented
    ) -> tuple[str | int | None, str]:
        """Return the id of the key that signed, else how the signature was misspelt if it was.

        The expected MACs stay in here: whoever raises shows its local variables to error reporters.
        """
        _, signatures, _, _, before, after = presented
        encode = self._scheme.encode
        is_hex = self._scheme.encoding == "hex"
        macs: list[Hash] = []
        matched: str | int | None = None
        for key in keys:
            inner = key.start()  # as Key.mac() does, without the time that a call takes
            if before:
                inner.update(before)
            inner.update(body)
            if after:
                inner.update(after)
            mac = key.end()
            mac.update(inner.digest())
            macs.append(mac)
            expected = encode(mac)
            for signature in signatures:
                given = signature.lower() if is_hex else signature
                if compare_digest(expected, given) and matched is None:
                    matched = key.id
        if matched is not None:
            return matched, ""
        for mac in macs:
            for spelling, mistake in self._scheme.encode_wrongly(mac.digest()):
                for signature in signatures:
                    if compare_digest(spelling, signature):
                        return None, mistake
        return None, ""

    def __repr__(self) -> str:
        if not hasattr(self, "_keys"):  # error reporters show a half-made one too
            return "<Verifier, refused>"
        return (
            f"Verifier(<{len(self._keys)} secrets>, scheme={self._scheme.name!r}, "
            f"tolerance={self._tolerance}, max_body={self._max_body})"
        )


class Verification:
    """One request under way: its headers can be read, its body is still to come.

    From `Verifier.begin()`. Takes the body either whole (`verify()`) or in chunks (`update()` for
    each, then `finish()`), and is used up by that, and by any error. Until then nothing of the
    request can be trusted, what was fed included. Not for several threads at once.
    """

    __slots__ = (
        "_accept",
        "_hashes",
        "_is_over",
        "_is_whole",
        "_keys",
        "_max_body",
        "_presented",
        "_size",
    )

    def __init__(
        self,
        presented: Presented,
        keys: Sequence[Key],
        max_body: int,
        accept: Callable[[Sequence[Key], bytes, Presented], Delivery],
        is_whole: bool,  # noqa: FBT001  # by position, as it is made for every request
    ) -> None:
        self._presented = presented
        self._keys = keys
        self._max_body = max_body
        self._accept = accept
        self._is_whole = is_whole  # the body must come so
        self._hashes: list[Hash] = []  # of the chunks, one for each key
        self._size = 0
        self._is_over = False

    def verify(self, body: bytes) -> Delivery:
        """Verify a whole body.

        Args:
            body: The raw body, exactly as it came.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
            TypeError: The body is not bytes.
            RuntimeError: Chunks were fed before, or it is used up.
        """
        if not isinstance(body, bytes):
            raise _not_bytes(body)
        self._use_up()
        if self._hashes:
            msg = "chunks were fed to this verification, which only finish() could verify"
            raise RuntimeError(msg)
        if len(body) > self._max_body:
            raise BodyTooLarge(self._max_body)
        return self._accept(self._keys, body, self._presented)

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """Feed the next chunk of the body. It is hashed, not kept.

        Args:
            chunk: Raw bytes, of any size, in one piece of memory.

        Raises:
            BodyTooLarge: It came to more than `max_body` by now.
            TypeError: The chunk is not bytes.
            BufferError: It is a memoryview with gaps.
            ConfigurationError: The verifier has a `signed_at`, which needs the whole body.
            RuntimeError: It is used up.
        """
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise _not_bytes(chunk)
        self._use_up()  # whatever happens in here: a half-fed hash must never be finished
        self._size += memoryview(chunk).nbytes
        if self._size > self._max_body:
            raise BodyTooLarge(self._max_body)
        self._feed(chunk)
        self._is_over = False

    def finish(self) -> VerifiedRequest:
        """Return what can be trusted once the last chunk was fed: now that the body can be, too.

        Raises:
            VerificationError: The request must not be trusted, nor what was fed; `reason` says why.
            ConfigurationError: The verifier has a `signed_at`, which needs the whole body.
            RuntimeError: It is used up.
        """
        self._use_up()
        self._feed(b"")
        pairs = zip(self._keys, self._hashes, strict=True)
        fed = [key.fed(each.copy) for key, each in pairs]
        scheme, signatures, timestamp, delivery_id, _, after = self._presented
        rest = self._accept(fed, b"", (scheme, signatures, timestamp, delivery_id, b"", after))
        return VerifiedRequest(rest.key_id, self._presented)

    def _use_up(self) -> None:
        if self._is_over:
            msg = "this verification is over: begin() another one for each request"
            raise RuntimeError(msg)
        self._is_over = True

    def _feed(self, chunk: bytes | bytearray | memoryview) -> None:
        if not self._hashes:
            if self._is_whole:
                msg = "signed_at= looks into the body: hand it whole to verify(), not in chunks"
                raise ConfigurationError(msg)
            _, _, _, _, before, _ = self._presented
            self._hashes = [key.start() for key in self._keys]
            for started in self._hashes:
                started.update(before)
        for started in self._hashes:
            started.update(chunk)

    def __repr__(self) -> str:
        state = "over" if self._is_over else "not verified"
        return f"<Verification {self._presented[0].name}, {self._size} bytes so far, {state}>"


def verify_payload(
    body: bytes,
    headers: Headers,
    secret: Secrets | None,
    *,
    scheme: Scheme = FRAPPE,
    tolerance: float | None = None,
    signed_at: SignedAt | None = None,
    max_body: int = MAX_BODY,
    clock: Callable[[], float] = time.time,
    method: str | None = None,
    url: str | None = None,
) -> Delivery:
    """Verify one request; the same as `Verifier(secret, ...).verify(body, headers, ...)`.

    A `Verifier` that is kept checks the secret once and is several times faster.

    >>> verify_payload(b"{}", {}, "S6D3Kvx1yMJ8Hv5Gm2QzTn4wRb7LpXce")
    Traceback (most recent call last):
        ...
    frappe_hooksig.exceptions.VerificationError: no X-Frappe-Webhook-Signature header: ...

    Args:
        body: The raw body, exactly as it came.
        headers: The request's headers.
        secret: The shared secret; a list during a rotation, the newest first.
        scheme: How the sender lays out its signature.
        tolerance: How far a signed timestamp may be from now, either way, in seconds.
        signed_at: Finds in the body when it was made, as for `Verifier`.
        max_body: The largest accepted body, in bytes.
        clock: Returns now, in Unix seconds.
        method: The HTTP method; looked at only if the scheme signs it.
        url: The URL as registered with the sender; looked at only if the scheme signs it.

    Raises:
        VerificationError: The request must not be trusted; `reason` says why.
        ConfigurationError: The secret cannot be used, or an option makes no sense.
        TypeError: The body is not bytes.
    """
    verifier = Verifier(
        secret,
        scheme=scheme,
        tolerance=tolerance,
        signed_at=signed_at,
        max_body=max_body,
        clock=clock,
    )
    del secret  # as in Verifier.__init__
    return verifier.verify(body, headers, method=method, url=url)


def registered(scheme: Scheme, url: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the URLs that are registered with the sender.

    Args:
        scheme: How the sender lays out its signature.
        url: As for `Verifier`.

    Raises:
        ConfigurationError: One of them is no URL, or the scheme signs none.
    """
    if url is None:
        return ()
    urls = (url,) if isinstance(url, str) else tuple(url)
    if "{url}" not in scheme.signed:
        msg = f"url= has no use: scheme {scheme.name!r} does not sign the URL"
        raise ConfigurationError(msg)
    if not urls or not all(isinstance(each, str) and _URL.fullmatch(each) for each in urls):
        msg = "url= is the whole URL, as it is registered with the sender: https://..."
        raise ConfigurationError(msg)
    return urls


def only_registered(urls: Sequence[str], url: str | None) -> str:
    """Return the registered URL that a request was sent to.

    Args:
        urls: From `registered()`, at least one.
        url: What it was sent to, if that is known.

    Raises:
        VerificationError: It was sent to none of them.
        ConfigurationError: There are several, and nobody says which one it was sent to.
    """
    if url is None:
        only, *others = urls
        if others:
            msg = "several URLs are registered: url= has to say which one a request was sent to"
            raise ConfigurationError(msg)
        return only
    if url not in urls:
        raise VerificationError(Reason.UNKNOWN_URL)
    return url


def _tell_of_old(scheme: Scheme, key_id: str | int) -> None:
    """Log that a sender does not use the newest secret yet."""
    import logging  # takes as long as all of this package, and is hardly needed

    message = "a delivery of scheme %r was signed with secret %r only, which is not the newest"
    logging.getLogger("frappe_hooksig").warning(message, scheme.name, key_id)


def _not_bytes(body: object) -> TypeError:
    """Return the error that says what to hand over instead."""
    return TypeError(
        f"the body is {type(body).__name__}, not bytes: what was signed is the raw body, before "
        "any parsing (Flask request.get_data(), Django request.body, Starlette await "
        "request.body(), Frappe frappe.request.get_data())"
    )


def checked_tolerance(
    scheme: Scheme, given: float | None, signed_at: SignedAt | None
) -> float | None:
    """Return the tolerance that holds, in seconds; None if there is no time to check.

    Args:
        scheme: How the sender lays out its signature.
        given: As for `Verifier`.
        signed_at: As for `Verifier`.

    Raises:
        ConfigurationError: The options contradict each other or the scheme.
    """
    if signed_at is not None:
        if scheme.signs_timestamp:
            msg = f"signed_at= has no use: scheme {scheme.name!r} signs a timestamp"
            raise ConfigurationError(msg)
        if not callable(signed_at) or iscoroutinefunction(signed_at):
            msg = "signed_at= is a function of the delivery that returns its time, and not async"
            raise ConfigurationError(msg)
        if not scheme.signs_body:
            msg = f"signed_at= has no use: scheme {scheme.name!r} does not sign the body"
            raise ConfigurationError(msg)
        default: float = _BODY_TOLERANCE
    elif scheme.signs_timestamp:
        default = scheme.tolerance
    elif given is None:
        return None
    else:
        msg = (
            f"tolerance has nothing to check: scheme {scheme.name!r} signs no timestamp, "
            "and without signed_at= none is looked for in the body"
        )
        raise ConfigurationError(msg)
    tolerance = default if given is None else given
    if not is_tolerance(tolerance):
        msg = "tolerance is a positive number of seconds: without it, old requests can be replayed"
        raise ConfigurationError(msg)
    return tolerance


def _found_time(signed_at: SignedAt, delivery: Delivery, now: float) -> float:
    """Return when a delivery was made, in Unix seconds, as its body says.

    Raises:
        VerificationError: It does not say so.
    """
    times: list[float] = []
    try:
        times = _readings(signed_at(delivery))
    except ConfigurationError:  # a ValueError, but not the sender's fault
        raise
    except (LookupError, TypeError, ValueError, OverflowError):
        pass  # what it says may be out of the body: nobody gets to see it as the cause of another
    if not times:
        detail = "there, or is not one that signed_at= can read"
        raise VerificationError(Reason.MALFORMED_TIMESTAMP, detail=detail)
    return min(times, key=lambda time: abs(now - time))


def _readings(found: object) -> list[float]:
    """Return what a time can mean, in Unix seconds: nothing, one moment, or either of two.

    A datetime over which clocks were put back, as at the end of summer time, is two moments, and
    nothing in what Frappe writes tells which was meant (PEP 495).

    Raises:
        OverflowError: It is an int that no float can hold.
    """
    if isinstance(found, datetime):
        if found.utcoffset() is None:
            return []
        first, second = (found.replace(fold=fold).timestamp() for fold in (0, 1))
        return [first, second] if second > first else [first]
    if isinstance(found, int | float) and not isinstance(found, bool) and isfinite(found):
        return [float(found)]
    return []


def _timed(presented: Presented, time: float) -> Presented:
    """Return what a request claims, with the time that its body says."""
    scheme, signatures, _, delivery_id, before, after = presented
    return scheme, signatures, time, delivery_id, before, after
