"""URLs: no spelling of a special address leads past the guard."""

from __future__ import annotations

import re
import socket
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from frappe_hooksig.sending import AddressGuard
from frappe_hooksig.sending._target import Target, read_host
from tests.sending.addresses import (
    BAD,
    NAMES,
    SPECIAL_IPV4,
    SPECIAL_IPV6,
    SPELLINGS,
    containers_of_ipv4,
    spellings_of_ipv4,
    spellings_of_ipv6,
)
from tests.sending.name_server import Infos, NameServer

GUARD = AddressGuard()
Resolve = Callable[[str, int], Infos]


@pytest.fixture(scope="module")
def names() -> Iterator[NameServer]:
    """A server that knows the names in `SPELLINGS`."""
    with NameServer({name: [[address]] for name, address in NAMES.items()}) as server:
        yield server


def reached(url: str, resolve: Resolve) -> list[str]:
    """Return the addresses that a URL leads to; `BAD` if it is refused as it stands."""
    try:
        target = Target.of(url)
    except ValueError:
        return [BAD]
    return [str(ip_address(info[4][0])) for info in resolve(target.host, target.port)]


def normal(leads_to: str) -> str:
    """Return an address as this Python writes it: 3.13 writes IPv4-mapped ones in another way."""
    return leads_to if leads_to == BAD else str(ip_address(leads_to))


def leaks(urls: Iterable[str], resolve: Resolve) -> list[tuple[str, str]]:
    """Return the URLs that lead past the guard, and where."""
    found = ((url, address) for url in urls for address in reached(url, resolve))
    return [(url, address) for url, address in found if address != BAD and GUARD.allows(address)]


def numeric(host: str, port: int) -> Infos:
    """Resolve an address by the real function, which asks nobody for an address."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)


def test_no_spelling_leads_past_the_guard(names: NameServer) -> None:
    """Each spelling is refused, or `getaddrinfo` leads to where the table says, and is stopped."""
    elsewhere = [
        (each.url, found, each.leads_to)
        for each in SPELLINGS
        if normal(each.leads_to) not in (found := reached(each.url, names.resolve))
    ]

    assert elsewhere == []
    assert leaks((each.url for each in SPELLINGS), names.resolve) == []
    assert {name for name in NAMES if not names.count(name)} == set()


def test_table_is_large() -> None:
    """As many spellings and addresses as the issue wants."""
    assert len({each.url for each in SPELLINGS}) == len(SPELLINGS) > 250
    assert len({each.leads_to for each in SPELLINGS}) > 30
    assert len({*map(ip_address, [*SPECIAL_IPV4, *SPECIAL_IPV6])}) > 120


def test_each_special_address_in_each_spelling() -> None:
    """Numbers, full width, capitals, expanded, and IPv4 in IPv6: nothing leads past the guard."""
    ipv4 = [host for each in SPECIAL_IPV4 for host in spellings_of_ipv4(each)]
    containers = [address for each in SPECIAL_IPV4 for address in containers_of_ipv4(each)]
    ipv6 = [host for each in (*SPECIAL_IPV6, *containers) for host in spellings_of_ipv6(each)]
    urls = [f"https://{host}/hook" for host in (*ipv4, *ipv6)]

    assert leaks(urls, numeric) == []
    assert [url for url in urls if reached(url, numeric) == [BAD]] == []


@pytest.mark.parametrize(
    ("url", "is_https", "host", "port", "authority", "path"),
    [
        ("http://a.example", False, "a.example", 80, "a.example", "/"),
        ("HTTPS://A.Example./x", True, "a.example", 443, "a.example", "/x"),
        ("https://a.example:443/", True, "a.example", 443, "a.example", "/"),
        ("https://a.example:080/", True, "a.example", 80, "a.example:80", "/"),
        ("http://a.example:443?b=c", False, "a.example", 443, "a.example:443", "/?b=c"),
        ("http://a.example/?#x", False, "a.example", 80, "a.example", "/?"),
        ("http://a.example#/x?y", False, "a.example", 80, "a.example", "/"),
        ("http://localhost:8000/x", False, "localhost", 8000, "localhost:8000", "/x"),
        ("http://8.8.8.8/", False, "8.8.8.8", 80, "8.8.8.8", "/"),
        ("http://134744072:81/", False, "8.8.8.8", 81, "8.8.8.8:81", "/"),
        ("http://[2A00::0:1]/", False, "2a00::1", 80, "[2a00::1]", "/"),
        ("https://[::1]:8443/", True, "::1", 8443, "[::1]:8443", "/"),
        ("http://my_app-1/", False, "my_app-1", 80, "my_app-1", "/"),
        (
            "http://bücher.example/",
            False,
            "xn--bcher-kva.example",
            80,
            "xn--bcher-kva.example",
            "/",
        ),
        ("http://a/é?ü=%20#ö", False, "a", 80, "a", "/%C3%A9?%C3%BC=%20"),
        ('http://a/<"{|}^`>', False, "a", 80, "a", "/%3C%22%7B%7C%7D%5E%60%3E"),
        ("http://a/x;y=1,2/~z/../@:?a[]=b&c=%zz", False, "a", 80, "a", None),
        ("http://a/\u2028\u00a0", False, "a", 80, "a", "/%E2%80%A8%C2%A0"),
        ("http://" + "a." * 126 + "a/", False, "a." * 126 + "a", 80, "a." * 126 + "a", "/"),
    ],
)
def test_reading(
    url: str,
    is_https: bool,  # noqa: FBT001
    host: str,
    port: int,
    authority: str,
    path: str | None,
) -> None:
    """A URL is read as browsers do, and what is sent is ASCII."""
    target = Target.of(url)
    same = path or url.partition("//a")[2]

    assert (target.is_https, target.host, target.port) == (is_https, host, port)
    assert (target.authority, target.path) == (authority, same)


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("https://a.example/x?y=%7e&z", None),
        ("HTTPS://A.Example:443/X", None),
        ("http://a.example.:080", None),
        ("https://a.example?y", None),
        ("https://0x7f.1/", None),
        ("https://a.example/x?y#z", "https://a.example/x?y"),
        ("https://a.example#z", "https://a.example"),
        ("https://A.example:443/\xe9{b}?c=\xe9", "https://A.example:443/%C3%A9%7Bb%7D?c=%C3%A9"),
        ("https://B\xfccher.example:443/x", "https://xn--bcher-kva.example/x"),
        ("https://b\xfccher.example:8443/x", "https://xn--bcher-kva.example:8443/x"),
    ],
)
def test_signed(url: str, signed: str | None) -> None:
    """What a receiver has registered is signed, unless that cannot be sent."""
    assert Target.of(url).signed == (signed or url)
    assert "x" not in repr(Target.of(url)).partition("path")[2]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://a/\x7f", "the URL contains a space, a control character or a backslash"),
        ("ftp://a/", "the URL is not absolute: it must begin with https:// or http://"),
        ("http://a:b@c/", "the URL contains a user or a password"),
        ("http://[::1%25lo]/", "the URL's host has a percent sign: zones and encoded characters"),
        ("http://::1/", "the URL's host and port cannot be told apart: write an IPv6 address in"),
        ("http://[a]/", "the URL's host has brackets, but there is no IPv6 address in them"),
        ("http://a:0/", "the URL's port is not a number from 1 to 65535"),
        ("http://a..b/", "the URL's host is no valid name"),
        ("http://256.0.0.1/", "the URL's host ends in a number, but is no IPv4 address"),
        ("http://0x/", "the URL's host ends in a number, but is no IPv4 address"),
        ("http://ß/", "the URL's host has a letter that software reads in two ways: write it as"),
        ("http://a/\ud800", "the URL contains half of a character (a surrogate)"),
        ("http://a/" + "b" * 8192, "the URL is not a str of up to 8192 characters"),
    ],
)
def test_sentences(url: str, sentence: str) -> None:
    """A refusal says what to change."""
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        Target.of(url)


@pytest.mark.parametrize("url", [None, b"http://a.example/", 1, ["http://a.example/"]])
def test_no_str(url: object) -> None:
    """What is no str is no URL."""
    with pytest.raises(ValueError, match="not a str"):
        Target.of(url)  # type: ignore[arg-type]


def test_errors_and_repr_keep_the_url_to_themselves() -> None:
    """Neither a message, nor a frame of ours, nor a repr has a path or a query."""
    token = "never-shown"
    for url in (
        f"http://a:0/{token}",
        f"http://a\\/{token}",
        f"ftp://a/{token}",
        f"http://{token}@a/",
        f"http://a%/{token}",
        f"http://[/{token}",
        f"http://08/{token}",
        f"http://ß/{token}",
        f"http://ä./\ud800{token}",
        f"http://a/{token}" + "x" * 9000,
    ):
        with pytest.raises(ValueError, match=r"^the URL") as caught:
            Target.of(url)
        error = caught.value
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][1:]

        assert token not in str(error)
        assert (error.__cause__, error.__context__) == (None, None)
        assert token not in repr([frame.f_locals for frame in frames])
    assert token not in repr(Target.of(f"http://a/{token}?{token}"))


@given(parts=st.lists(st.integers(0, 2**33), min_size=1, max_size=5), data=st.data())
@example([0x7F, 1], None)
def test_numbers_are_read_as_the_c_library_does(
    parts: list[int], data: st.DataObject | None
) -> None:
    """A number is decimal, octal or hexadecimal; the last one is the rest of the address."""
    formats = st.sampled_from(["{}", "0{:o}", "0x{:x}", "0X{:X}", "00{:o}", "0x00{:x}"])
    host = ".".join((data.draw(formats) if data else "{}").format(part) for part in parts)
    try:
        expected = socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        with pytest.raises(ValueError, match="ends in a number, but is no IPv4 address"):
            read_host(host)
    else:
        assert read_host(host) == expected


# URLs that get past the first checks, with what may confuse a reader in them.
_PIECES = [
    *"/?#@:[].%\\;,-_ \t\n\r\0０１。℀⒈ßä\u00ad\u200b\ud800",
    *("//", "..", ":80", "http://", "https://", "127.0.0.1", "0x7f", "::1", "a.example", "xn--"),
]
_piece = st.sampled_from(_PIECES) | st.integers(0, 0x10FFFF).map(chr)
_urls = st.builds(
    "{}{}".format,
    st.sampled_from(["http://", "https://", "HTTP://", ""]),
    st.lists(_piece, max_size=8).map("".join),
)


@given(url=_urls)
@example("http://a/")
@example("http://[::1]:80/?")
def test_any_text(url: str) -> None:
    """Any text is refused with a sentence, or read as something that is safe to send."""
    try:
        target = Target.of(url)
    except ValueError as error:
        refusal = (type(error), str(error)[:7])
        assert refusal == (ValueError, "the URL")
        return
    scheme = "https" if target.is_https else "http"
    sent = f"{scheme}://{target.authority}{target.path}"

    assert sent.isascii()
    assert sent.isprintable()
    assert not {*" \\"} & {*sent}
    assert not {*"/?#@%[]"} & {*target.host}
    assert Target.of(target.signed) == target
    assert target.path.startswith("/")
    assert 0 < target.port < 65536
    assert Target.of(sent) == replace(target, signed=sent)
    assert read_host(target.host if ":" not in target.host else f"[{target.host}]") == target.host
