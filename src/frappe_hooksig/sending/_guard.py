"""`AddressGuard`: which addresses a webhook may be sent to. It does no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv6Network, ip_network
from typing import Final, cast

from frappe_hooksig._escaping import escaped
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.sending._networks import (
    LOCAL_TRANSLATORS,
    Address,
    Network,
    contained_addresses,
    is_metadata,
    read_address,
    speciality,
)
from frappe_hooksig.sending._target import read_host

_SHOWN: Final = 60  # characters of what is no address
_NETWORK: Final = re.compile(r"[0-9A-Fa-f.:]+/(?:0|[1-9][0-9]{0,2})")
_TRANSLATOR: Final = 96  # bits of a translator's prefix; the IPv4 address is behind them


class AddressGuard:
    """Keeps webhooks away from loopback, private networks and other special addresses.

    Whoever may enter a URL could otherwise have your server send requests to it, such as to a
    database, a router, or the metadata service of a cloud, which gives out credentials. The guard
    judges what a name has resolved to, because any name can lead to any address.

    >>> guard = AddressGuard()
    >>> guard.allows("8.8.8.8")
    True
    >>> guard.objection("127.0.0.1")
    '127.0.0.1 is loopback (RFC 1122)'
    >>> AddressGuard(["127.0.0.1"]).allows("127.0.0.1")
    True

    A listed address is allowed, whatever it is. A listed network allows what is in it, but for
    two exceptions: the metadata addresses of clouds, and IPv6 addresses that contain an IPv4
    address which is not allowed itself. So a machine without IPv4 can list `64:ff9b::/96`, the
    network of NAT64, and still reaches no private address through it. A translator under a prefix
    of your provider's own cannot be recognised: block private addresses there.

    Guards may be shared, compared, and used as keys.

    Args:
        allow: What is allowed besides public addresses. Each is an address (`10.0.0.5`), a network
            (`10.0.0.0/8`), or a host name (`erp.internal`). A listed name may resolve to anything:
            whoever answers for it, in DNS or in a hosts file, decides where its webhooks go. A name
            is compared as a whole, without regard to case.

    Raises:
        ConfigurationError: `allow` is no list, or contains something else than these.
    """

    __slots__ = ("_allow", "_names", "_networks")

    def __init__(self, allow: Iterable[str] = ()) -> None:
        given: object = allow
        if isinstance(given, str | bytes) or not isinstance(given, Iterable):
            msg = 'allow= must be a list of addresses, networks and host names: ["10.0.0.5"]'
            raise ConfigurationError(msg)
        read = [
            _read(entry, place) for place, entry in enumerate(cast("Iterable[object]", given), 1)
        ]
        self._allow = tuple(dict.fromkeys(map(_spelled, read)))
        self._names = frozenset(each for each in read if isinstance(each, str))
        self._networks = frozenset(each for each in read if not isinstance(each, str))

    @property
    def allow(self) -> tuple[str, ...]:
        """What is allowed besides public addresses, each once."""
        return self._allow

    def allows(self, address: str) -> bool:
        """Whether a webhook may be sent to an address. False for a name, unless it is listed.

        Args:
            address: An address as `socket.getaddrinfo()` returns it, or as people write it: IPv4 as
                four decimal numbers, IPv6 without brackets and zone.
        """
        return self.objection(address, address) is None

    def objection(self, address: str, host: str | None = None) -> str | None:
        """Return why a webhook may not be sent to an address, or None if it may.

        Args:
            address: As for `allows()`.
            host: The host name in the URL that has resolved to the address. If it is listed, there
                is no objection.
        """
        if isinstance(host, str) and host.isascii() and self._is_listed(host):
            return None
        if not isinstance(address, str):
            return "address= must be a str"
        found = read_address(address)
        if found is None:
            return f"{escaped(address, _SHOWN)} is not a plain IP address"
        reason = self._reason(found)
        return f"{address} {reason}" if reason else None

    def _is_listed(self, host: str) -> bool:
        return host.lower().removesuffix(".") in self._names

    def _reason(self, address: Address) -> str | None:
        """Return what follows an address in an objection."""
        if ip_network(address) in self._networks:
            return None
        for each in contained_addresses(address):
            if reason := self._reason(each):
                return f"contains {each}, which {reason}"
        return None if self._is_in_listed_network(address) else speciality(address)

    def _is_in_listed_network(self, address: Address) -> bool:
        shortest = _TRANSLATOR if address in LOCAL_TRANSLATORS else 0
        return not is_metadata(address) and any(
            address in network and network.prefixlen >= shortest for network in self._networks
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AddressGuard):
            return NotImplemented
        return (self._names, self._networks) == (other._names, other._networks)

    def __hash__(self) -> int:
        return hash((self._names, self._networks))

    def __repr__(self) -> str:
        return f"AddressGuard(allow={[*self._allow]!r})" if self._allow else "AddressGuard()"


def _read(entry: object, place: int) -> str | Network:
    """Return a host name, or a network; an address is the smallest network.

    Raises:
        ConfigurationError: It is neither. The message has nothing of it, because it may be a URL
            with a token.
    """
    if isinstance(entry, str):
        if address := read_address(entry):
            return ip_network(address)
        if _NETWORK.fullmatch(entry):
            return _read_network(entry, place)
        with suppress(ValueError):
            name = read_host(entry)
            if read_address(name) is None:  # such as 127.1, in which a person may err
                return name
    msg = (
        f"allow= contains something, at place {place}, that is no address (10.0.0.5), no network "
        "(10.0.0.0/8) and no host name (erp.internal): leave out scheme, port, brackets, zone and *"
    )
    raise ConfigurationError(msg)


def _read_network(text: str, place: int) -> Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        msg = f"allow= contains something, at place {place}, that is no network (10.0.0.0/8)"
        raise ConfigurationError(msg) from None
    if network.network_address != read_address(text.partition("/")[0]):
        msg = f"allow= contains an address inside of a network, at place {place}: write {network}"
        raise ConfigurationError(msg)
    if network.prefixlen < _TRANSLATOR and _is_inside(network, LOCAL_TRANSLATORS):
        msg = (
            f"allow= contains {network}: list the {_TRANSLATOR} bits of the translator's own "
            "prefix, such as 64:ff9b:1::/96"
        )
        raise ConfigurationError(msg)
    return network


def _is_inside(network: Network, larger: IPv6Network) -> bool:
    return network.network_address in larger and network.prefixlen >= larger.prefixlen


def _spelled(listed: str | Network) -> str:
    """Return how an entry of `allow` is shown."""
    if isinstance(listed, str):
        return listed
    is_address = listed.prefixlen == listed.max_prefixlen
    return str(listed.network_address if is_address else listed)
