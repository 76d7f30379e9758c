"""Which addresses are special, and the IPv4 addresses that an IPv6 address contains.

The tables are data of our own. The flags of `ipaddress`, such as `is_global`, differ between
versions of Python; only its reading of well-formed addresses is used here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

#: Special networks: what their addresses are, and the source of that. The networks are those of
#: IANA's registries of special-purpose addresses (RFC 6890 and RFC 8190), as of October 2025:
#: https://www.iana.org/assignments/iana-ipv4-special-registry
#: https://www.iana.org/assignments/iana-ipv6-special-registry
#: The registries say that some of them are globally reachable, such as AS112. No receiver of
#: webhooks is there, so they are special here too. Multicast and the deprecated forms of IPv6
#: have registries of their own.
SPECIAL_NETWORKS: Final = (
    ("0.0.0.0/8", 'an address of "this network"', "RFC 791"),
    ("0.0.0.0/32", "the unspecified address", "RFC 1122"),
    ("10.0.0.0/8", "private", "RFC 1918"),
    ("100.64.0.0/10", "shared between customers of a provider", "RFC 6598"),
    ("127.0.0.0/8", "loopback", "RFC 1122"),
    ("169.254.0.0/16", "link-local", "RFC 3927"),
    ("172.16.0.0/12", "private", "RFC 1918"),
    ("192.0.0.0/24", "reserved for protocols", "RFC 6890"),
    ("192.0.0.0/29", "reserved for IPv4 behind IPv6", "RFC 7335"),
    ("192.0.0.8/32", "a dummy address", "RFC 7600"),
    ("192.0.0.9/32", "the anycast address of PCP", "RFC 7723"),
    ("192.0.0.10/32", "the anycast address of TURN", "RFC 8155"),
    ("192.0.0.170/32", "reserved for finding NAT64", "RFC 8880"),
    ("192.0.0.171/32", "reserved for finding NAT64", "RFC 8880"),
    ("192.0.2.0/24", "reserved for documentation", "RFC 5737"),
    ("192.31.196.0/24", "an address of AS112", "RFC 7535"),
    ("192.52.193.0/24", "reserved for tunnels of multicast", "RFC 7450"),
    ("192.88.99.0/24", "a 6to4 relay, deprecated", "RFC 7526"),
    ("192.88.99.2/32", "a 6a44 relay", "RFC 6751"),
    ("192.168.0.0/16", "private", "RFC 1918"),
    ("192.175.48.0/24", "an address of AS112", "RFC 7534"),
    ("198.18.0.0/15", "reserved for benchmarks", "RFC 2544"),
    ("198.51.100.0/24", "reserved for documentation", "RFC 5737"),
    ("203.0.113.0/24", "reserved for documentation", "RFC 5737"),
    ("224.0.0.0/4", "multicast", "RFC 5771"),
    ("240.0.0.0/4", "reserved", "RFC 1112"),
    ("255.255.255.255/32", "broadcast", "RFC 919"),
    ("::/96", "IPv4-compatible, deprecated", "RFC 4291"),
    ("::/128", "the unspecified address", "RFC 4291"),
    ("::1/128", "loopback", "RFC 4291"),
    ("::ffff:0:0/96", "IPv4-mapped", "RFC 4291"),
    ("::ffff:0:0:0/96", "IPv4-translated, deprecated", "RFC 2765"),
    ("64:ff9b::/96", "behind a NAT64 translator", "RFC 6052"),
    ("64:ff9b:1::/48", "behind a local NAT64 translator", "RFC 8215"),
    ("100::/64", "discarded", "RFC 6666"),
    ("100:0:0:1::/64", "a dummy address", "RFC 9780"),
    ("2001::/23", "reserved for protocols", "RFC 2928"),
    ("2001::/32", "a Teredo tunnel", "RFC 4380"),
    ("2001:1::1/128", "the anycast address of PCP", "RFC 7723"),
    ("2001:1::2/128", "the anycast address of TURN", "RFC 8155"),
    ("2001:1::3/128", "the anycast address of DNS-SD", "RFC 9665"),
    ("2001:2::/48", "reserved for benchmarks", "RFC 5180"),
    ("2001:3::/32", "reserved for tunnels of multicast", "RFC 7450"),
    ("2001:4:112::/48", "an address of AS112", "RFC 7535"),
    ("2001:10::/28", "an ORCHID, deprecated", "RFC 4843"),
    ("2001:20::/28", "an ORCHIDv2", "RFC 7343"),
    ("2001:30::/28", "the tag of a drone", "RFC 9374"),
    ("2001:db8::/32", "reserved for documentation", "RFC 3849"),
    ("2002::/16", "a 6to4 tunnel", "RFC 3056"),
    ("2620:4f:8000::/48", "an address of AS112", "RFC 7534"),
    ("3fff::/20", "reserved for documentation", "RFC 9637"),
    ("5f00::/16", "an SRv6 segment", "RFC 9602"),
    ("fc00::/7", "unique local", "RFC 4193"),
    ("fe80::/10", "link-local", "RFC 4291"),
    ("fec0::/10", "site-local, deprecated", "RFC 3879"),
    ("ff00::/8", "multicast", "RFC 4291"),
)

#: Where clouds give a machine its own credentials, and whose clouds they are. 168.63.129.16 is in
#: no special network: it looks like any public address.
METADATA_ADDRESSES: Final = {
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
    "169.254.169.254": "AWS, Azure, Google Cloud and others",
    "fd00:ec2::254": "AWS",
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
    "169.254.170.2": "AWS ECS",
    # https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
    "169.254.170.23": "AWS EKS",
    "fd00:ec2::23": "AWS EKS",
    # https://cloud.google.com/compute/docs/metadata/querying-metadata
    "fd20:ce::254": "Google Cloud",
    # https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    "168.63.129.16": "Azure",
    # https://www.alibabacloud.com/help/ecs/user-guide/view-instance-metadata
    "100.100.100.200": "Alibaba Cloud",
    # https://docs.oracle.com/en/cloud/iaas/compute-iaas-cloud/stcsg/retrieving-instance-metadata.html
    "192.0.0.192": "Oracle Cloud Classic",
    # https://docs.openstack.org/nova/latest/user/metadata.html
    "fe80::a9fe:a9fe": "OpenStack",
}

_METADATA: Final = {ip_address(text): clouds for text, clouds in METADATA_ADDRESSES.items()}
# The smaller network says more of an address, so it comes first.
_SPECIAL: Final = sorted(
    ((ip_network(text), f"is {what} ({source})") for text, what, source in SPECIAL_NETWORKS),
    key=lambda row: -row[0].prefixlen,
)
#: A network has its translator to IPv4 here. The IPv4 address is in the last 32 bits if the
#: translator's prefix has 96 bits; it is elsewhere if the prefix is shorter (RFC 6052 section 2.2).
LOCAL_TRANSLATORS: Final = IPv6Network("64:ff9b:1::/48")

_ISATAP: Final = 0x5EFE  # the first half of an interface id, without two of its bits

# IANA assigns unicast addresses from nothing else (RFC 4291 section 2.4).
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")


def read_address(text: str) -> Address | None:
    """Return a well-formed address, or None.

    IPv4 has four decimal numbers without leading zeros. There are no brackets, no zone id and no
    prefix length.
    """
    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_metadata(address: Address) -> bool:
    """Whether a cloud gives a machine its own credentials there."""
    return address in _METADATA


def speciality(address: Address) -> str | None:
    """Return what makes an address special, such as "is loopback (RFC 1122)"; None if nothing does.

    This looks at the address only, and not at those that it contains.
    """
    if clouds := _METADATA.get(address):
        return f"is a cloud metadata address ({clouds})"
    for network, reason in _SPECIAL:
        if address in network:
            return reason
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return "is outside of 2000::/3, the global unicast addresses (RFC 4291)"
    return None


def contained_addresses(address: Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address contains, in each form that RFCs define.

    A host, a router or a translator may take the IPv4 address out, and connect to it.
    """
    if isinstance(address, IPv4Address):
        return
    number = int(address)
    for network, parts in _FORMS:
        if address in network:
            for part in parts(number):
                yield IPv4Address(part)


def _last(number: int) -> list[int]:
    return [number & 0xFFFF_FFFF]


def _compatible(number: int) -> list[int]:
    # `::` and `::1` are in the network, but contain nothing (RFC 4291 section 2.5.5.1).
    return [] if number <= 1 else _last(number)


def _six_to_four(number: int) -> list[int]:
    return [number >> 80 & 0xFFFF_FFFF]  # RFC 3056 section 2


def _teredo(number: int) -> list[int]:
    # The server, and the client with all bits inverted (RFC 4380 section 4).
    return [number >> 64 & 0xFFFF_FFFF, ~number & 0xFFFF_FFFF]


def _isatap(number: int) -> list[int]:
    # Two bits of the interface id say whether the address is global, and a group (RFC 5214
    # section 6.1).
    return _last(number) if number >> 32 & 0xFCFF_FFFF == _ISATAP else []


_FORMS: Final[tuple[tuple[IPv6Network, Callable[[int], list[int]]], ...]] = (
    (IPv6Network("::/96"), _compatible),
    (IPv6Network("::ffff:0:0/96"), _last),
    (IPv6Network("::ffff:0:0:0/96"), _last),
    (IPv6Network("64:ff9b::/96"), _last),
    (LOCAL_TRANSLATORS, _last),
    (IPv6Network("2001::/32"), _teredo),
    (IPv6Network("2002::/16"), _six_to_four),
    (IPv6Network("::/0"), _isatap),
)
