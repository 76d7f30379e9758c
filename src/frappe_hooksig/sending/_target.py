"""Read the URL that a webhook is sent to, strictly: two readers must not find two hosts in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote

from frappe_hooksig.sending._networks import read_address

_LONGEST: Final = 8192  # characters of a URL
_LONGEST_NAME: Final = 253  # characters of a host name (RFC 1035 section 2.3.4)

# `re.ASCII` keeps `re.IGNORECASE` from taking other letters for an "s".
_URL: Final = re.compile(
    r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.ASCII | re.IGNORECASE
)
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f\\]")
_AUTHORITY: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([^:]*))?")
_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_ENDS_IN_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_NUMBER: Final = re.compile(r"0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*")
_OCTETS: Final = 4  # of an IPv4 address
# What stays as it is in a path and a query (RFC 3986 sections 3.3 and 3.4), and "%", which is
# encoded already, and brackets, which PHP's parameters have.
_IN_PATHS: Final = "!$%&'()*+,/:;=?@[]~"
# Python knows IDNA 2003, which makes other names of these than browsers do (RFC 5894 section 7.2).
_OF_TWO_READINGS: Final = frozenset("ßς\u200c\u200d")

_NO_NAME: Final = "the URL's host is no valid name"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where a webhook is sent.

    Attributes:
        is_https: Whether the connection is encrypted.
        host: The name in ASCII and lower case, without trailing dot; or an address without
            brackets.
        port: The port.
        authority: The value of the Host header.
        path: The path and the query. It may contain a token, so it is not in the repr.
        signed: The URL as it is signed: as the caller has written it, because receivers compare it
            with the text that they registered. Only its fragment is missing, and what is not ASCII,
            or cannot be sent, is encoded. It is not in the repr either.
    """

    is_https: bool
    host: str
    port: int
    authority: str
    path: str = field(repr=False)
    signed: str = field(repr=False)

    @staticmethod
    def of(url: str) -> Target:
        """Read a URL. Its fragment is dropped.

        Args:
            url: An absolute URL of HTTP or HTTPS.

        Raises:
            ValueError: `url` is not an absolute HTTP URL. The message has nothing of the URL.
        """
        try:
            return _read(url)
        except ValueError as error:
            sentence = str(error)
        del url  # error reporters show the local variables of every frame
        raise ValueError(sentence)


def _read(url: str) -> Target:
    if not isinstance(url, str) or len(url) > _LONGEST:
        msg = f"the URL is not a str of up to {_LONGEST} characters"
        raise ValueError(msg)
    if _UNSAFE.search(url):
        msg = "the URL contains a space, a control character or a backslash"
        raise ValueError(msg)
    parts = _URL.fullmatch(url)
    if not parts:
        msg = "the URL is not absolute: it must begin with https:// or http://"
        raise ValueError(msg)
    scheme, authority, path, query = parts.groups("")
    raw_host, raw_port = _split(authority)
    host = read_host(raw_host)
    shown = f"[{host}]" if ":" in host else host
    is_https = scheme.lower() == "https"
    usual_port = 443 if is_https else 80
    port = usual_port if raw_port is None else _read_port(raw_port)
    full = shown if port == usual_port else f"{shown}:{port}"
    written = authority if authority.isascii() else full
    return Target(
        is_https=is_https,
        host=host,
        port=port,
        authority=full,
        path=_encoded((path or "/") + query),
        signed=f"{scheme}://{written}{_encoded(path + query)}",
    )


def _split(authority: str) -> tuple[str, str | None]:
    """Return host and port, as they are written."""
    if "@" in authority:
        msg = "the URL contains a user or a password"
        raise ValueError(msg)
    if "%" in authority:
        msg = "the URL's host has a percent sign: zones and encoded characters are not allowed"
        raise ValueError(msg)
    parts = _AUTHORITY.fullmatch(authority)
    if not parts:
        msg = "the URL's host and port cannot be told apart: write an IPv6 address in brackets"
        raise ValueError(msg)
    host, port = parts.groups()
    return host, port


def _read_port(text: str) -> int:
    port = int(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0
    if not 0 < port < 1 << 16:
        msg = "the URL's port is not a number from 1 to 65535"
        raise ValueError(msg)
    return port


def _encoded(path: str) -> str:
    """Return a path and query in ASCII, as browsers send it."""
    try:
        return quote(path, safe=_IN_PATHS)
    except UnicodeError:
        msg = "the URL contains half of a character (a surrogate)"
        raise ValueError(msg) from None


def read_host(text: str) -> str:
    """Return the host of a URL as `Target.host` has it.

    Args:
        text: The host, with brackets if it is an IPv6 address.

    Raises:
        ValueError: It is neither a name nor an address.
    """
    if text.startswith("["):
        address = read_address(text[1:-1])
        if not isinstance(address, IPv6Address):
            msg = "the URL's host has brackets, but there is no IPv6 address in them"
            raise ValueError(msg)
        return str(address)
    name = _ascii(text).lower().removesuffix(".")
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise ValueError(_NO_NAME)
    return _ipv4(name) if _ENDS_IN_NUMBER.fullmatch(name) else name


def _ascii(name: str) -> str:
    """Return a name in ASCII (IDNA, RFC 3490).

    Raises:
        ValueError: It has no such form, or software disagrees about it.
    """
    if name.isascii():
        return name
    if len(name) > _LONGEST_NAME:  # the codec takes long for a long name (CVE-2022-45061)
        raise ValueError(_NO_NAME)
    if not _OF_TWO_READINGS.isdisjoint(name):
        msg = "the URL's host has a letter that software reads in two ways: write it as xn--..."
        raise ValueError(msg)
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        raise ValueError(_NO_NAME) from None


def _ipv4(name: str) -> str:
    """Return an IPv4 address in its usual form.

    Like every C library and browser, this reads octal and hexadecimal numbers, and less than four
    of them, of which the last is the rest of the address. What is written here is what everybody
    else finds in the Host header, so no proxy reads `010.0.0.1` as another address than this
    machine. No name ends in a number (RFC 3696 section 2).

    Raises:
        ValueError: It is no IPv4 address.
    """
    parts = name.split(".")
    if len(parts) <= _OCTETS and all(map(_NUMBER.fullmatch, parts)):
        *first, last = map(_number, parts)
        left = _OCTETS - len(first)
        if max(first, default=0) < 1 << 8 and last < 1 << 8 * left:
            return str(IPv4Address(bytes(first) + last.to_bytes(left, "big")))
    msg = "the URL's host ends in a number, but is no IPv4 address"
    raise ValueError(msg)


def _number(text: str) -> int:
    """Return a number of C: with `0x` it is hexadecimal, with another leading zero octal."""
    if text.startswith("0x"):
        return int(text, 16)
    return int(text, 8 if text.startswith("0") else 10)
