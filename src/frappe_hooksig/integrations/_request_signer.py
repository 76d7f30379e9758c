"""Sign a request as an HTTP client is about to send it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from frappe_hooksig._compression import CONTENT_ENCODING, Decompression, is_gzip
from frappe_hooksig._raw_body import MAX_BODY
from frappe_hooksig._wire import wire_of
from frappe_hooksig.exceptions import ConfigurationError, PayloadError, VerificationError
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secret
from frappe_hooksig.sign import Signer


class RequestSigner:
    """Signs the requests of an HTTP client. Threads may share it.

    Args:
        several: The secrets, from `redacted()`.
        scheme: How the receiver expects the signature, from `masked_unless()`.
        clock: Returns the current time, in Unix seconds.

    Attributes:
        scheme: How the receiver expects the signature.

    Raises:
        ConfigurationError: A secret cannot be used, or there are more secrets than signatures that
            the header can carry.
    """

    __slots__ = ("_signer", "scheme")

    def __init__(
        self, several: Sequence[Secret], scheme: Scheme, clock: Callable[[], float]
    ) -> None:
        self._signer = Signer(several, scheme=scheme, clock=clock)
        self.scheme = scheme

    def headers(
        self,
        body: bytes,
        *,
        id: str | None,  # noqa: A002
        coding: str | None,
        method: str,
        url: str,
    ) -> dict[str, str]:
        """Return the headers that sign a request.

        Args:
            body: The body, as it is sent.
            id: The id that the caller has put into the id header of the scheme, or None.
            coding: The Content-Encoding of the body, or None.
            method: The HTTP method.
            url: The URL, as it is sent.

        Raises:
            PayloadError: The scheme cannot sign this body.
            ConfigurationError: The id or the method cannot be signed, or no secret is valid now.
        """
        if id is not None and not wire_of(self.scheme).is_id(id):
            msg = (
                f"the header {self.scheme.id_header} of the request cannot be signed: an id must "
                "be printable ASCII without the characters that join the signed parts"
            )
            raise ConfigurationError(msg)
        if self.scheme.signs_decoded_body and coding is not None:
            body = _decoded(body, coding)
        return self._signer.sign(body, id=id, method=method, url=url).headers

    def __reduce__(self) -> NoReturn:
        msg = "what signs requests cannot be pickled: it contains a secret"
        raise TypeError(msg)

    def __copy__(self) -> RequestSigner:
        return self

    def __deepcopy__(self, memo: object) -> RequestSigner:
        return self


def _decoded(body: bytes, coding: str) -> bytes:
    """Decompress a body, for a scheme that signs bodies before they are compressed.

    Raises:
        PayloadError: The body is not compressed with gzip, or is larger than receivers accept.
    """
    decompression = Decompression(MAX_BODY)
    try:
        if not is_gzip(coding):
            raise PayloadError(_NO_GZIP)
        found = decompression.feed(body)
        decompression.finish()
    except VerificationError:
        raise PayloadError(_NO_GZIP) from None
    return found


_NO_GZIP = (
    f"the request has {CONTENT_ENCODING}, but its body is not one whole gzip member of at most "
    "25 MiB: the scheme signs what is in it"
)
