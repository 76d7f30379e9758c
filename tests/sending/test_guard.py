"""Which addresses the guard lets a webhook go to."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from frappe_hooksig import ConfigurationError
from frappe_hooksig.sending import AddressGuard
from frappe_hooksig.sending._networks import (
    METADATA_ADDRESSES,
    SPECIAL_NETWORKS,
    contained_addresses,
)
from tests.sending.addresses import (
    PUBLIC,
    SPECIAL_IPV4,
    SPECIAL_IPV6,
    SPELLINGS,
    containers_of_ipv4,
)

GUARD = AddressGuard()
EVERYWHERE = AddressGuard(["0.0.0.0/0", "::/0"])
ALL_IPV6 = AddressGuard(["::/0"])
NETWORKS = [ip_network(text) for text, _, _ in SPECIAL_NETWORKS]
GLOBAL_UNICAST = IPv6Network("2000::/3")
LOCAL_TRANSLATORS = IPv6Network("64:ff9b:1::/48")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def is_special(address: Address) -> bool:
    """Tell whether an address is in a special network, or one of a cloud."""
    return (
        any(address in network for network in NETWORKS)
        or str(address) in METADATA_ADDRESSES
        or (address.version == 6 and address not in GLOBAL_UNICAST)
    )


def edges(networks: Iterable[Network]) -> set[Address]:
    """Return the first and the last address of each network, and those beside them."""
    ends = {end for each in networks for end in (each[0], each[-1])}
    return {
        type(end)(int(end) + step)
        for end in ends
        for step in (-1, 0, 1)
        if 0 <= int(end) + step < 1 << end.max_prefixlen
    }


# Addresses like those of attackers: random ones, and what is near to an edge of a special network.
_bits4, _bits6 = st.integers(0, 2**32 - 1), st.integers(0, 2**128 - 1)
_edges = sorted(edges([*NETWORKS, GLOBAL_UNICAST]), key=lambda each: (each.version, each))
_ipv4 = st.one_of(
    st.sampled_from([each for each in _edges if isinstance(each, IPv4Address)]),
    st.sampled_from(SPECIAL_IPV4).map(IPv4Address),
    _bits4.map(IPv4Address),
)
_containers = _ipv4.flatmap(
    lambda each: st.sampled_from([*containers_of_ipv4(str(each))]).map(IPv6Address)
)
_ipv6 = st.one_of(
    st.sampled_from([each for each in _edges if isinstance(each, IPv6Address)]),
    _containers,
    _bits6.map(IPv6Address),
    st.builds(lambda bits: IPv6Address(1 << 125 | bits >> 3), _bits6),  # in 2000::/3
)
_addresses: st.SearchStrategy[Address] = st.one_of(_ipv4, _ipv6)


@pytest.mark.parametrize("address", [*SPECIAL_IPV4, *SPECIAL_IPV6])
def test_special_addresses(address: str) -> None:
    """No special address is allowed, and the reason begins with it."""
    assert not GUARD.allows(address)
    assert str(GUARD.objection(address)).startswith(f"{address} ")


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    """Addresses beside special networks, and those of real servers, are allowed."""
    assert GUARD.allows(address)
    assert GUARD.objection(address) is None
    assert GUARD.allows(address.upper())


@pytest.mark.parametrize(
    ("address", "objection"),
    [
        ("127.0.0.1", "is loopback (RFC 1122)"),
        ("10.0.0.5", "is private (RFC 1918)"),
        ("169.254.0.1", "is link-local (RFC 3927)"),
        ("0.0.0.0", "is the unspecified address (RFC 1122)"),
        ("0.0.0.1", 'is an address of "this network" (RFC 791)'),
        ("192.0.0.1", "is reserved for IPv4 behind IPv6 (RFC 7335)"),
        ("192.0.0.8", "is a dummy address (RFC 7600)"),
        ("192.0.0.170", "is reserved for finding NAT64 (RFC 8880)"),
        ("192.0.0.171", "is reserved for finding NAT64 (RFC 8880)"),
        ("192.0.0.9", "is the anycast address of PCP (RFC 7723)"),
        ("192.0.0.11", "is reserved for protocols (RFC 6890)"),
        ("192.0.0.10", "is the anycast address of TURN (RFC 8155)"),
        ("192.88.99.2", "is a 6a44 relay (RFC 6751)"),
        ("255.255.255.255", "is broadcast (RFC 919)"),
        ("168.63.129.16", "is a cloud metadata address (Azure)"),
        ("100.100.100.200", "is a cloud metadata address (Alibaba Cloud)"),
        ("fd00:ec2::254", "is a cloud metadata address (AWS)"),
        ("::1", "is loopback (RFC 4291)"),
        ("::", "is the unspecified address (RFC 4291)"),
        ("2001:1::1", "is the anycast address of PCP (RFC 7723)"),
        ("2001:1::2", "is the anycast address of TURN (RFC 8155)"),
        ("2001:1::3", "is the anycast address of DNS-SD (RFC 9665)"),
        ("2001:2::1", "is reserved for benchmarks (RFC 5180)"),
        ("2001:3::1", "is reserved for tunnels of multicast (RFC 7450)"),
        ("2001:4:112::1", "is an address of AS112 (RFC 7535)"),
        ("2001:5::1", "is reserved for protocols (RFC 2928)"),
        ("2001:10::1", "is an ORCHID, deprecated (RFC 4843)"),
        ("2001:20::1", "is an ORCHIDv2 (RFC 7343)"),
        ("2001:30::1", "is the tag of a drone (RFC 9374)"),
        ("2001::f7f7:f7f7", "contains 0.0.0.0, which is the unspecified address (RFC 1122)"),
        ("2001:0:808:808::f7f7:f7f7", "is a Teredo tunnel (RFC 4380)"),
        ("2002:808:808::", "is a 6to4 tunnel (RFC 3056)"),
        ("64:ff9b::808:808", "is behind a NAT64 translator (RFC 6052)"),
        ("64:ff9b:1::808:808", "is behind a local NAT64 translator (RFC 8215)"),
        ("100::1", "is discarded (RFC 6666)"),
        ("100:0:0:1::1", "is a dummy address (RFC 9780)"),
        ("5f00::1", "is an SRv6 segment (RFC 9602)"),
        ("fc00::1", "is unique local (RFC 4193)"),
        ("fe80::1", "is link-local (RFC 4291)"),
        ("fec0::1", "is site-local, deprecated (RFC 3879)"),
        ("ff02::1", "is multicast (RFC 4291)"),
        ("::808:808", "is IPv4-compatible, deprecated (RFC 4291)"),
        ("::ffff:0:808:808", "is IPv4-translated, deprecated (RFC 2765)"),
        ("4000::1", "is outside of 2000::/3, the global unicast addresses (RFC 4291)"),
        ("::ffff:808:808", "is IPv4-mapped (RFC 4291)"),
        ("::127.0.0.1", "contains 127.0.0.1, which is loopback (RFC 1122)"),
        ("64:ff9b::a00:5", "contains 10.0.0.5, which is private (RFC 1918)"),
        (
            "2002:a83f:8110::1",
            "contains 168.63.129.16, which is a cloud metadata address (Azure)",
        ),
        ("fe80::1%eth0", "is not a plain IP address"),
        ("example.com", "is not a plain IP address"),
        ("010.0.0.1", "is not a plain IP address"),
        ("", "is not a plain IP address"),
    ],
)
def test_objections(address: str, objection: str) -> None:
    """An objection says what is special, by the smallest network, and where that is defined."""
    assert GUARD.objection(address) == f"{address} {objection}"


def test_objection_to_text() -> None:
    """Text that is no address cannot write lines into a log, nor fill it."""
    assert GUARD.objection("a\nb") == "a\\nb is not a plain IP address"
    assert len(str(GUARD.objection("a" * 10**6))) < 100


@pytest.mark.parametrize("value", [None, b"\x08\x08\x08\x08", 0x08080808, ip_address("8.8.8.8")])
def test_other_types(value: object) -> None:
    """What is no str is not allowed, though Python may read an address in it."""
    assert not EVERYWHERE.allows(value)  # type: ignore[arg-type]
    assert EVERYWHERE.objection(value) == "address= must be a str"  # type: ignore[arg-type]


def test_odd_spellings_are_no_addresses() -> None:
    """What a C library reads as an address is none, even if all addresses are allowed."""
    hosts = {each.url.partition("://")[2].partition("/hook")[0] for each in SPELLINGS}
    odd = hosts - {"127.0.0.1"}
    inside = {"::1", "[::1]", *(host[1:-1] for host in odd if host.startswith("["))}

    assert {host for host in odd - {"::1"} if EVERYWHERE.allows(host)} == set()
    assert {host for host in inside if "%" in host and EVERYWHERE.allows(host)} == set()
    for text in ("127.0.0.1 ", " 127.0.0.1", "127.0.0.1\n", "1" * 10**5, "::1/128", "8.8.8.8/32"):
        assert not EVERYWHERE.allows(text)


def test_edges_of_special_networks() -> None:
    """Networks end where the registries say: the addresses beside them are allowed."""
    assert {str(each) for each in _edges if GUARD.allows(str(each)) == is_special(each)} == set()


def test_table() -> None:
    """Each network is listed once, as a network, and with its source."""
    texts = [text for text, _, _ in SPECIAL_NETWORKS]

    assert len(set(texts)) == len(texts)
    assert texts == [str(network) for network in NETWORKS if network.version == 4] + [
        text for text in texts if ":" in text
    ]
    assert all(source.startswith("RFC ") for _, _, source in SPECIAL_NETWORKS)
    assert all(GUARD.objection(each) for each in METADATA_ADDRESSES)


# Where this table refuses and `is_global` of some Python does not, and why.
STRICTER_THAN_PYTHON = {
    # Python follows the registry, which calls these reachable. They serve DNS, tunnels, or hosts
    # behind NAT, and no receiver of webhooks.
    "192.0.0.9/32": "anycast of PCP",
    "192.0.0.10/32": "anycast of TURN",
    "192.31.196.0/24": "AS112",
    "192.52.193.0/24": "AMT",
    "192.175.48.0/24": "AS112",
    "2001:1::1/128": "anycast of PCP",
    "2001:1::2/128": "anycast of TURN",
    "2001:1::3/128": "anycast of DNS-SD",
    "2001:3::/32": "AMT",
    "2001:4:112::/48": "AS112",
    "2001:20::/28": "ORCHIDv2, hashes that nobody routes to",
    "2001:30::/28": "tags of drones",
    "2620:4f:8000::/48": "AS112",
    # A translator or a tunnel leads to IPv4 from here. Python does not look into these addresses.
    "64:ff9b::/96": "NAT64",
    "::/96": "IPv4-compatible",
    "::ffff:0:0/96": "IPv4-mapped: Python 3.13 judges the IPv4 address alone",
    "::ffff:0:0:0/96": "IPv4-translated",
    # Deprecated, and without a value in the registry.
    "192.88.99.0/24": "6to4 relays",
    "fec0::/10": "site-local",
    # Python calls multicast global: a webhook has one receiver.
    "224.0.0.0/4": "multicast",
    "ff00::/8": "multicast",
    # Older Pythons do not know these.
    "192.0.0.0/24": "protocols: only a part of it before 3.13",
    "64:ff9b:1::/48": "local NAT64",
    "100:0:0:1::/64": "dummy prefix, of 2025",
    "2002::/16": "6to4",
    "3fff::/20": "documentation, of 2024",
    "5f00::/16": "SRv6, of 2024",
    # A public address that Azure answers in each virtual machine.
    "168.63.129.16/32": "metadata",
}


@given(address=_addresses)
@example(IPv4Address("168.63.129.16"))
@example(IPv6Address("4000::"))
def test_beside_python(address: Address) -> None:
    """`is_global` never refuses what is allowed here; where it is less strict, this says why."""
    if GUARD.allows(str(address)):
        assert address.is_global
    elif address.is_global:
        assert (
            any(address in ip_network(each) for each in STRICTER_THAN_PYTHON)
            or any(contained_addresses(address))  # ISATAP
            # Python lists what is reserved. IANA assigns nothing outside of 2000::/3.
            or (address.version == 6 and address not in GLOBAL_UNICAST)
        )


def test_beside_python_at_all_edges() -> None:
    """At the edges of each network, Python and the guard differ only as explained."""
    differing = {each for each in _edges if GUARD.allows(str(each)) != each.is_global}
    explained = [*map(ip_network, STRICTER_THAN_PYTHON)]
    unexplained = {
        str(each)
        for each in differing
        if not any(each in network for network in explained)
        and (each.version == 4 or each in GLOBAL_UNICAST)
    }

    assert unexplained == set()


def test_explained_networks_are_listed() -> None:
    """No explanation is left behind when its network is not special any more."""
    assert {*STRICTER_THAN_PYTHON} <= {*map(str, NETWORKS), "168.63.129.16/32"} | {
        "::ffff:0:0/96"  # which Python 3.13 writes in another way
    }


@given(inner=_ipv4)
@example(IPv4Address("127.0.0.1"))
@example(IPv4Address("169.254.169.254"))
@example(IPv4Address("168.63.129.16"))
def test_contained_ipv4(inner: IPv4Address) -> None:
    """No IPv6 address is allowed that contains a forbidden IPv4 address, listed or not."""
    # `::` and `::1` are no containers.
    for address in {*containers_of_ipv4(str(inner))} - {"::", "::1"}:
        listed = AddressGuard([str(_around(address))])
        if is_special(inner):
            assert not GUARD.allows(address)
            assert not ALL_IPV6.allows(address)
            assert not listed.allows(address)
        assert inner in contained_addresses(IPv6Address(address))
        assert GUARD.allows(address) is (address.startswith("2a00:") and not is_special(inner))


def _around(address: str) -> IPv6Network:
    """Return the network of an address that lets 32 bits vary."""
    return IPv6Network((int(IPv6Address(address)) >> 32 << 32, 96))


@given(address=_ipv6)
def test_python_reads_the_same_ipv4(address: IPv6Address) -> None:
    """What Python's own properties take out of an address is judged."""
    inner = {address.ipv4_mapped, address.sixtofour, *(address.teredo or ())} - {None}

    assert inner <= {*contained_addresses(address)}
    if any(is_special(each) for each in inner if each):
        assert not ALL_IPV6.allows(str(address))


@pytest.mark.parametrize("address", ["::", "::1", "8.8.8.8", "2606:4700::6810:84e5"])
def test_nothing_is_contained(address: str) -> None:
    """`::` and `::1` are not IPv4-compatible, and most addresses contain none."""
    assert [*contained_addresses(ip_address(address))] == []


def _networks_of(address: Address) -> st.SearchStrategy[Network]:
    """Return networks that an address is in."""
    return st.integers(0, address.max_prefixlen).map(
        lambda length: ip_network(f"{address}/{length}", strict=False)
    )


@given(address=_addresses, data=st.data())
def test_listed_network(address: Address, data: st.DataObject) -> None:
    """A network is allowed, and nothing else; but for metadata, and what leads to other IPv4."""
    network = data.draw(_networks_of(data.draw(st.just(address) | _addresses)))
    assume(network.version == 4 or not network.subnet_of(LOCAL_TRANSLATORS))
    guard = AddressGuard([str(network)])

    def is_allowed(each: Address) -> bool:
        is_listed = each in network and str(each) not in METADATA_ADDRESSES
        return is_listed or not is_special(each)

    if network.prefixlen == network.max_prefixlen and address in network:
        assert guard.allows(str(address))
    elif address in LOCAL_TRANSLATORS:
        assert not guard.allows(str(address))
    else:
        parts = [address, *contained_addresses(address)]
        assert guard.allows(str(address)) is all(map(is_allowed, parts))


@pytest.mark.parametrize("address", [*SPECIAL_IPV4, *SPECIAL_IPV6])
def test_listed_address(address: str) -> None:
    """A listed address is allowed, whatever it is, and none beside it."""
    guard = AddressGuard([address])
    number, kind = int(ip_address(address)), type(ip_address(address))
    beside = [kind(number ^ 1 << bit) for bit in range(kind(0).max_prefixlen)]

    assert guard.allows(address)
    assert {each for each in beside if guard.allows(str(each)) and is_special(each)} == set()


@pytest.mark.parametrize(
    ("network", "address"),
    [
        ("169.254.0.0/16", "169.254.169.254"),
        ("fd00::/8", "fd00:ec2::254"),
        ("fd00::/8", "fd00:ec2::23"),
        ("fd20:ce::/64", "fd20:ce::254"),
        ("fe80::/10", "fe80::a9fe:a9fe"),
        ("169.254.0.0/16", "169.254.170.2"),
        ("169.254.0.0/16", "169.254.170.23"),
        ("192.0.0.0/24", "192.0.0.192"),
        ("100.64.0.0/10", "100.100.100.200"),
        ("168.63.0.0/16", "168.63.129.16"),
        ("0.0.0.0/0", "169.254.169.254"),
        ("::/0", "::ffff:169.254.169.254"),
    ],
)
def test_metadata_in_a_listed_network(network: str, address: str) -> None:
    """Metadata has to be listed by itself: whoever lists a network does not think of it."""
    assert not AddressGuard([network]).allows(address)
    assert AddressGuard([network, address]).allows(address)


def test_translators() -> None:
    """Behind a listed translator, what is allowed as IPv4 is allowed."""
    guard = AddressGuard(["64:ff9b::/96", "64:ff9b:1:2::/96", "10.1.0.0/16"])

    assert guard.allows("64:ff9b::8.8.8.8")
    assert guard.allows("64:ff9b::10.1.2.3")
    assert guard.allows("64:ff9b:1:2::10.1.2.3")
    assert not guard.allows("64:ff9b::10.2.2.3")
    assert not guard.allows("64:ff9b::169.254.169.254")
    assert not guard.allows("64:ff9b:1:2::127.0.0.1")
    assert not guard.allows("64:ff9b:1:3::8.8.8.8")
    # In a larger network, nobody knows which bits the translator takes for IPv4.
    assert not ALL_IPV6.allows("64:ff9b:1:a00:0:500:808:808")


def test_ipv4_is_not_listed_for_ipv6() -> None:
    """A listed IPv4 address has no second form."""
    assert not AddressGuard(["10.0.0.5"]).allows("::ffff:10.0.0.5")


@pytest.mark.parametrize("host", ["erp.internal", "ERP.Internal", "erp.internal."])
def test_listed_name(host: str) -> None:
    """A listed name may resolve to anything; an address may not, because a name is listed."""
    for guard in (AddressGuard([host]), AddressGuard(["erp.internal"])):
        assert guard.objection("10.0.0.5", "erp.internal") is None
        assert guard.objection("169.254.169.254", host) is None
        assert guard.allows(host)
        assert not guard.allows("10.0.0.5")
        assert guard.objection("10.0.0.5") == "10.0.0.5 is private (RFC 1918)"


@pytest.mark.parametrize(
    "host",
    [
        "internal",
        "a.erp.internal",
        "xerp.internal",
        "erp.internal.example.com",
        "erp.internal..",
        ".erp.internal",
        "erp.internal\n",
        "erp\u3002internal",
        "erp.\u0130nternal",
        "",
        "10.0.0.5",
    ],
)
def test_other_names(host: str) -> None:
    """A name is compared as a whole."""
    guard = AddressGuard(["erp.internal"])

    assert guard.objection("10.0.0.5", host) == "10.0.0.5 is private (RFC 1918)"
    assert not guard.allows(host)


def test_letters_that_become_ascii() -> None:
    """A host is compared as it is: `str.lower()` makes a "k" of the sign for Kelvin."""
    assert AddressGuard(["k.internal"]).objection("10.0.0.5", "\u212a.internal")


def test_name_in_unicode() -> None:
    """A name is listed as it is written, and compared as it is asked for."""
    guard = AddressGuard(["Bücher.internal"])

    assert guard.allow == ("xn--bcher-kva.internal",)
    assert guard.objection("10.0.0.5", "xn--bcher-kva.internal") is None


@pytest.mark.parametrize(
    "entry",
    [
        "",
        " ",
        "*",
        "*.internal",
        "http://erp.internal/token-never-shown",
        "erp.internal/token-never-shown",
        "user:token-never-shown@erp.internal",
        "erp.internal:8000",
        "10.0.0.5:8000",
        "[::1]",
        "fe80::1%eth0",
        "fe80::%eth0/64",
        "127.1",
        "010.0.0.1",
        "0x7f000001",
        "2130706433",
        "127.0.0.256",
        "１２７.0.0.1",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/",
        "10/8",
        "010.0.0.0/8",
        "::/129",
        ":::/64",
        "10.0.0.0-10.0.0.9",
        "erp.internal, 10.0.0.5",
        "erp..internal",
        "erp.internal\n",
        "a" * 10**5,
        b"10.0.0.5",
        None,
        10,
        ip_address("10.0.0.5"),
        ["10.0.0.5"],
    ],
)
def test_unreadable_entry(entry: object) -> None:
    """What is none of the three is an error that names `allow=` and the place, not the entry."""
    with pytest.raises(ConfigurationError, match=r"^allow= contains .*, at place 2") as caught:
        AddressGuard(["10.0.0.5", entry])  # type: ignore[list-item]

    assert "never-shown" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_address_inside_of_a_network() -> None:
    """The error says which network is meant."""
    with pytest.raises(ConfigurationError, match=r"at place 1: write 10\.0\.0\.0/8$"):
        AddressGuard(["10.0.0.5/8"])


@pytest.mark.parametrize("network", ["64:ff9b:1::/48", "64:ff9b:1::/64", "64:ff9b:1:2::/95"])
def test_translators_that_are_not_known(network: str) -> None:
    """Of the local network of NAT64, the translator's own prefix has to be listed."""
    with pytest.raises(ConfigurationError, match="list the 96 bits of the translator's own prefix"):
        AddressGuard([network])


@pytest.mark.parametrize("allow", ["10.0.0.5", b"10.0.0.5", None, 10])
def test_no_list(allow: object) -> None:
    """A str is not a list of its characters."""
    with pytest.raises(ConfigurationError, match=r"^allow= must be a list"):
        AddressGuard(allow)  # type: ignore[arg-type]


def test_equality() -> None:
    """Guards that allow the same are equal, however that is written."""
    one = AddressGuard(["10.0.0.5", "FD00::/8", "ERP.internal."])
    same = AddressGuard(iter(["erp.internal", "fd00::/8", "10.0.0.5/32", "10.0.0.5"]))

    assert one == same
    assert len({one, same, AddressGuard(), AddressGuard(())}) == 2
    assert one != AddressGuard(["10.0.0.5"])
    assert one != "10.0.0.5"
    assert pickle.loads(pickle.dumps(one)) == one


def test_repr() -> None:
    """The repr and `allow` show each entry once, in one form."""
    guard = AddressGuard(["10.0.0.5", "10.0.0.5/32", "fd00:0::/8", "ERP.internal."])

    assert guard.allow == ("10.0.0.5", "fd00::/8", "erp.internal")
    assert repr(guard) == "AddressGuard(allow=['10.0.0.5', 'fd00::/8', 'erp.internal'])"
    assert repr(AddressGuard()) == "AddressGuard()"
    assert AddressGuard(guard.allow) == guard
