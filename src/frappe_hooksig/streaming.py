"""`Verification`: a request whose body is verified in chunks, so that nobody has to hold it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from frappe_hooksig._raw_body import not_raw
from frappe_hooksig.delivery import Delivery, VerifiedRequest
from frappe_hooksig.exceptions import BodyTooLarge, ConfigurationError

if TYPE_CHECKING:
    from frappe_hooksig._keys import Hash
    from frappe_hooksig._matching import Matcher
    from frappe_hooksig._wire import ParsedHeaders

__all__ = ["Verification"]


class Verification:
    """One request under way: its headers were read, its body is still to come.

    `Verifier.begin()` makes it. Feed it each chunk with `update()`, then call `finish()`; or pass
    it the whole body with `verify()`. Either ends it, and so does any error. Before that nothing of
    the request can be trusted, not even the chunks that were fed. Not for several threads at once.
    """

    __slots__ = ("_hashes", "_is_over", "_matcher", "_parsed", "_size")

    def __init__(self, matcher: Matcher, parsed: ParsedHeaders) -> None:
        self._matcher = matcher
        self._parsed = parsed
        self._hashes: Sequence[Hash] = ()  # of the chunks, one for each key
        self._size = 0
        self._is_over = False

    def verify(self, body: bytes) -> Delivery:
        """Verify a whole body.

        Args:
            body: The raw body, exactly as it came.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
            TypeError: The body is not bytes.
            RuntimeError: Chunks were fed before, or the verification is over.
        """
        if not isinstance(body, bytes):
            raise not_raw(body)
        self._end()
        if self._hashes:
            msg = "chunks were fed to this verification, which only finish() could verify"
            raise RuntimeError(msg)
        return self._matcher.verify(body, self._parsed)

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """Feed the next chunk of the body. It is hashed, not kept.

        Args:
            chunk: Raw bytes, of any size, in one piece of memory.

        Raises:
            BodyTooLarge: The chunks are larger than `max_body` by now.
            TypeError: The chunk is not bytes.
            BufferError: It is a memoryview with gaps.
            ConfigurationError: The verifier has a `timestamp_from`, which needs the whole body.
            RuntimeError: The verification is over.
        """
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise not_raw(chunk)
        self._end()  # whatever happens in here: a half-fed hash must never be finished
        self._size += memoryview(chunk).nbytes
        if self._size > self._matcher.max_body:
            raise BodyTooLarge(self._matcher.max_body)
        self._feed(chunk)
        self._is_over = False

    def finish(self) -> VerifiedRequest:
        """Return what can be trusted once the last chunk was fed: the body can be now, too.

        Raises:
            VerificationError: The request must not be trusted, nor what was fed; `reason` says why.
            ConfigurationError: The verifier has a `timestamp_from`, which needs the whole body.
            RuntimeError: The verification is over.
        """
        self._end()
        self._feed(b"")
        pairs = zip(self._matcher.keys, self._hashes, strict=True)
        fed = [key.fed(each.copy) for key, each in pairs]
        scheme, signatures, timestamp, delivery_id, _, after = self._parsed
        rest = self._matcher.match(
            fed, b"", (scheme, signatures, timestamp, delivery_id, b"", after)
        )
        return VerifiedRequest(rest.secret_id, self._parsed)

    def _end(self) -> None:
        if self._is_over:
            msg = "this verification is over: begin() another one for each request"
            raise RuntimeError(msg)
        self._is_over = True

    def _feed(self, chunk: bytes | bytearray | memoryview) -> None:
        if not self._hashes:
            if self._matcher.timestamp_from is not None:
                msg = "timestamp_from= looks into the body: verify() it whole, not in chunks"
                raise ConfigurationError(msg)
            _, _, _, _, before, _ = self._parsed
            self._hashes = [key.start() for key in self._matcher.keys]
            for started in self._hashes:
                started.update(before)
        for started in self._hashes:
            started.update(chunk)

    def __repr__(self) -> str:
        state = "over" if self._is_over else "not verified"
        return f"<Verification {self._parsed[0].name}, {self._size} bytes so far, {state}>"
