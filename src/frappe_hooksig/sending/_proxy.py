"""The proxy that connects to receivers."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import unquote_to_bytes

from frappe_hooksig.sending._target import Target


class Proxy:
    """A proxy that makes connections for its clients (CONNECT, RFC 9110 section 9.3.6).

    It is no tuple and no dataclass, because error reporters show what is in those.

    Args:
        host: Its name or address.
        port: Its port.
        authorization: The value of Proxy-Authorization; empty if it needs none.

    Attributes:
        host: Its name or address.
        port: Its port.
    """

    __slots__ = ("_authorization", "host", "port")

    def __init__(self, host: str, port: int, authorization: str) -> None:
        self.host = host
        self.port = port
        self._authorization = authorization

    @classmethod
    def of(cls, url: object) -> Proxy | str:
        """Return the proxy with this URL, or what is wrong with the URL.

        It raises nothing, because a traceback would show the password.
        """
        if not isinstance(url, str):
            return f"proxy= must be a URL, not a {type(url).__name__}"
        scheme, slashes, rest = url.partition("://")
        user, at, host = rest.removesuffix("/").rpartition("@")
        try:
            target = Target.of(f"{scheme}{slashes}{host}")
        except ValueError:
            target = None
        if target is None or target.is_https or target.path != "/" or not user.isascii():
            return "proxy= must be like http://proxy:3128 or http://user:password@proxy:3128"
        login = b64encode(unquote_to_bytes(user)).decode()
        return cls(target.host, target.port, f"Basic {login}" if at else "")

    def request_to(self, authority: str) -> memoryview:
        """Return the request for a connection to a host and port."""
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if self._authorization:
            lines.append(f"Proxy-Authorization: {self._authorization}")
        return memoryview("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def __repr__(self) -> str:
        return f"<a proxy at {self.host}:{self.port}>"
