"""Decompress the bodies of senders that compress what they have signed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from frappe_hooksig.exceptions import BodyTooLarge, Reason, VerificationError

if TYPE_CHECKING:
    from frappe_hooksig._envelope import Envelope

#: The header that says whether a body is compressed.
CONTENT_ENCODING = "Content-Encoding"

_GZIP = 16 + zlib.MAX_WBITS  # gzip (RFC 1952), and neither zlib nor raw deflate


class GzipHeaders(tuple[Sequence[bytes], "Envelope"]):
    """The parsed headers of a request whose body is compressed."""

    __slots__ = ()


def is_gzip(coding: str) -> bool:
    """Whether a Content-Encoding is gzip. Deflate has two readings (RFC 9110 section 8.4.1.2)."""
    return coding.lower() == "gzip"


class Decompression:
    """Decompresses one body, whole or in chunks.

    Args:
        limit: The largest accepted body, decompressed, in bytes. Nothing beyond it is decompressed.
    """

    __slots__ = ("_limit", "_size", "_stream")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._stream = zlib.decompressobj(_GZIP)

    def feed(self, chunk: bytes | bytearray | memoryview) -> bytes:
        """Return what the next chunk adds to the body.

        Raises:
            VerificationError: The body is not gzip, has more than one member, or is too large.
        """
        try:
            # One byte more than is left shows that the body is too large.
            found = self._stream.decompress(chunk, self._limit - self._size + 1)
        except zlib.error:
            raise _not_gzip() from None  # the error is about the body of a stranger
        self._size += len(found)
        if self._size > self._limit:
            raise BodyTooLarge(self._limit)
        # Some decoders ignore what stands behind the first member, others decompress it too.
        if self._stream.unused_data:
            raise _not_gzip()
        return found

    def finish(self) -> None:
        """Check that the body was complete.

        Raises:
            VerificationError: The body was cut off.
        """
        if not self._stream.eof:
            raise _not_gzip()


def _not_gzip() -> VerificationError:
    detail = "it says gzip, but the body is not exactly one whole gzip member"
    return VerificationError(Reason.MALFORMED_HEADER, CONTENT_ENCODING, detail)
