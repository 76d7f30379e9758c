"""`Verification`: verify a body in chunks, without keeping all of it in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from frappe_hooksig._compression import Decompression, GzipHeaders
from frappe_hooksig._events import keep_event
from frappe_hooksig._raw_body import not_raw, raw_bytes
from frappe_hooksig.delivery import Delivery, VerifiedRequest
from frappe_hooksig.exceptions import BodyTooLarge, ConfigurationError

if TYPE_CHECKING:
    from frappe_hooksig._headers import Headers
    from frappe_hooksig._keys import Hash
    from frappe_hooksig._matching import Matcher
    from frappe_hooksig._wire import ParsedHeaders

__all__ = ["Verification"]


class Verification:
    """Verifies the body of one request, after its headers were parsed.

    `Verifier.begin()` creates it. Feed each chunk to `update()`, then call `finish()`. Or pass the
    whole body to `verify()`. Either call ends the verification, and so does any error.

    Trust nothing of the request before `finish()` or `verify()` has returned, not even the chunks
    that you have fed. Do not use it in several threads at once.
    """

    __slots__ = (
        "_decompression",
        "_event",
        "_hashes",
        "_headers",
        "_is_over",
        "_matcher",
        "_parsed",
        "_size",
        "_url",
    )

    def __init__(
        self,
        matcher: Matcher,
        parsed: ParsedHeaders,
        headers: Headers,
        url: str | None,
        event: str | None = None,
    ) -> None:
        self._matcher = matcher
        self._parsed = parsed
        self._headers = headers  # and the URL: to say why a signature does not match
        self._url = url
        self._event = event
        self._hashes: Sequence[Hash] = ()  # of the chunks, one for each key
        self._size = 0
        is_compressed = isinstance(parsed, GzipHeaders)
        self._decompression = Decompression(matcher.max_body) if is_compressed else None
        self._is_over = False

    def verify(self, body: bytes | bytearray | memoryview) -> Delivery:
        """Verify a whole body.

        Args:
            body: The raw body, exactly as received.

        Raises:
            VerificationError: The request must not be trusted; `reason` says why.
            TypeError: The body is not bytes.
            RuntimeError: Chunks were fed before, or the verification is over.
        """
        body = raw_bytes(body)
        self._end()
        if self._hashes:
            msg = "verify() was called after update(): only finish() can verify chunks"
            raise RuntimeError(msg)
        delivery = self._matcher.verify(body, self._parsed, self._headers, self._url)
        keep_event(delivery, self._event)
        return delivery

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """Feed the next chunk of the body, as it was received. It is hashed, not kept.

        Args:
            chunk: Raw bytes of any size, in contiguous memory.

        Raises:
            BodyTooLarge: All chunks together are larger than `max_body`.
            VerificationError: The body cannot be decompressed.
            TypeError: The chunk is not bytes.
            BufferError: The chunk is a memoryview with gaps.
            ConfigurationError: The verifier has a `timestamp_from`, which needs the whole body.
            RuntimeError: The verification is over.
        """
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise not_raw(chunk)
        self._end()  # undone below; after an error, a half-fed hash must never be finished
        self._size += memoryview(chunk).nbytes
        if self._size > self._matcher.max_body:
            raise BodyTooLarge(self._matcher.max_body)
        self._feed(self._decompression.feed(chunk) if self._decompression else chunk)
        self._is_over = False

    def finish(self) -> VerifiedRequest:
        """Return the verified request, after the last chunk. The chunks can now be trusted too.

        Raises:
            VerificationError: Do not trust the request or its chunks; `reason` says why.
            ConfigurationError: The verifier has a `timestamp_from`, which needs the whole body.
            RuntimeError: The verification is over.
        """
        self._end()
        if self._decompression:
            self._decompression.finish()
        self._feed(b"")
        _, (_, _, _, _, after) = self._parsed
        macs: list[Hash] = []
        for key, inner in zip(self._matcher.keys, self._hashes, strict=True):
            inner.update(after)
            macs.append(key.finished(inner))
        delivery = self._matcher.judge(
            macs, b"", self._parsed, size=self._size, headers=self._headers, url=self._url
        )
        verified = VerifiedRequest(delivery.secret_id, self._parsed[1])
        keep_event(verified, self._event)
        return verified

    def _end(self) -> None:
        if self._is_over:
            msg = "this verification is over: call begin() for each request"
            raise RuntimeError(msg)
        self._is_over = True

    def _feed(self, chunk: bytes | bytearray | memoryview) -> None:
        if not self._hashes:
            if self._matcher.timestamp_from is not None:
                msg = (
                    "timestamp_from= needs the whole body: call verify(), not update() and finish()"
                )
                raise ConfigurationError(msg)
            _, (_, _, _, before, _) = self._parsed
            self._hashes = [key.start() for key in self._matcher.keys]
            for started in self._hashes:
                started.update(before)
        for started in self._hashes:
            started.update(chunk)

    def __repr__(self) -> str:
        state = "over" if self._is_over else "not verified"
        return f"<Verification {self._parsed[1][0].name}, {self._size} bytes so far, {state}>"
