"""Ways to write an address that a webhook must not be sent to, and where each of them leads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

BAD = "bad-url"

# Special IPv4 addresses, each of another kind or at an edge.
SPECIAL_IPV4 = (
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "10.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.0",
    "100.100.100.200",  # Alibaba Cloud
    "100.127.255.255",
    "127.0.0.0",
    "127.0.0.1",
    "127.0.0.53",
    "127.1.2.3",
    "127.255.255.255",
    "168.63.129.16",  # Azure
    "169.254.0.1",
    "169.254.169.253",
    "169.254.169.254",  # AWS, Azure, Google Cloud and others
    "169.254.170.2",
    "169.254.255.255",
    "172.16.0.0",
    "172.17.0.1",  # Docker
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.8",
    "192.0.0.9",
    "192.0.0.10",
    "192.0.0.170",
    "192.0.0.171",
    "192.0.0.192",  # Oracle Cloud Classic
    "192.0.0.255",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.88.99.2",
    "192.168.0.0",
    "192.168.1.1",
    "192.168.255.255",
    "192.175.48.1",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "233.252.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.254",
    "255.255.255.255",
)

SPECIAL_IPV6 = (
    "::",
    "::1",
    "::2",
    "::7f00:1",
    "::808:808",
    "::fffe:a00:1",
    "::ffff:0.0.0.0",
    "::ffff:7f00:1",
    "::ffff:808:808",
    "::ffff:a9fe:a9fe",
    "::ffff:0:7f00:1",
    "::ffff:0:808:808",
    "::1:0:0:0",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:0:1::808:808",
    "64:ff9b:1::808:808",
    "64:ff9b:1:a00::5:0:0",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    "64:ff9b:2::1",
    "100::",
    "100::1",
    "100:0:0:1::1",
    "100:0:0:2::1",
    "200::1",
    "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001::",
    "2001::1",
    "2001:0:808:808:0:0:f5ff:fffe",  # the client is 10.0.0.1
    "2001:0:a00:1:0:0:f7f7:f7f7",  # the server is 10.0.0.1
    "2001:1::1",
    "2001:1::2",
    "2001:1::3",
    "2001:1::4",
    "2001:2::1",
    "2001:3::1",
    "2001:4:112::1",
    "2001:5::1",
    "2001:10::1",
    "2001:20::1",
    "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:30::1",
    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db8::1",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "2002:a9fe:a9fe::",
    "2620:4f:8000::1",
    "2a00:1450::5efe:7f00:1",
    "2a00:1450::100:5efe:7f00:1",
    "2a00:1450::200:5efe:a00:1",
    "2a00:1450::300:5efe:a9fe:a9fe",
    "3fff::1",
    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
    "4000::1",
    "5f00::1",
    "5fff::1",
    "8000::1",
    "e000::1",
    "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fc00::",
    "fd00::1",
    "fd00:ec2::254",  # AWS
    "fd00:ec2::23",
    "fd20:ce::254",  # Google Cloud
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe00::1",
    "fe80::",
    "fe80::1",
    "fe80::5efe:808:808",
    "fe80::a9fe:a9fe",
    "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fec0::1",
    "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "ff01::1",
    "ff02::1",
    "ff0e::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
)

PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "223.255.255.255",
    "2001:200::",
    "2001:4860:4860::8888",
    "2003::",
    "2606:4700::6810:84e5",
    "2a00:1450:4001:80b::200e",
    "2a00:1450::200:5efe:808:808",
    "2c0f:fb50:4002:804::200e",
    "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
)


@dataclass(frozen=True)
class Spelling:
    """One way to write an address.

    Attributes:
        url: A URL.
        leads_to: The address that it leads to; or `BAD`, if it has to be refused as it stands.
        name: The name that a name server has to know for that; empty if it is not asked.
    """

    url: str
    leads_to: str
    name: str = ""


def _spellings() -> Iterator[Spelling]:
    for host, leads_to in _HOSTS.items():
        yield Spelling(f"http://{host}/hook", leads_to)
    for url, leads_to in _URLS.items():
        yield Spelling(url, leads_to)
    for host, (name, leads_to) in _NAMES.items():
        yield Spelling(f"https://{host}/hook", leads_to, name)


# What is written where a URL has its host.
_HOSTS = {
    # Numbers of an IPv4 address, as every C library reads them.
    "127.0.0.1": "127.0.0.1",
    "127.1": "127.0.0.1",
    "127.0.1": "127.0.0.1",
    "127.65535": "127.0.255.255",
    "10.1": "10.0.0.1",
    "192.168.257": "192.168.1.1",
    "0": "0.0.0.0",
    "00": "0.0.0.0",
    "0x0": "0.0.0.0",
    "0.0": "0.0.0.0",
    "2130706433": "127.0.0.1",
    "017700000001": "127.0.0.1",
    "0x7f000001": "127.0.0.1",
    "0X7F000001": "127.0.0.1",
    "0x000000007f000001": "127.0.0.1",
    "0177.0.0.1": "127.0.0.1",
    "0177.0.0.01": "127.0.0.1",
    "00000000177.0.0.1": "127.0.0.1",
    "0x7f.0.0.1": "127.0.0.1",
    "0x7F.0X0.0x0.0x1": "127.0.0.1",
    "0x7f.1": "127.0.0.1",
    "0x7f.0x1": "127.0.0.1",
    "0177.1": "127.0.0.1",
    "0177.0x1": "127.0.0.1",
    "127.0x000001": "127.0.0.1",
    "127.0.0x0.01": "127.0.0.1",
    "2852039166": "169.254.169.254",
    "0xa9fea9fe": "169.254.169.254",
    "025177524776": "169.254.169.254",
    "0xa9.0xfe.0xa9.0xfe": "169.254.169.254",
    "0251.0376.0251.0376": "169.254.169.254",
    "0xA9.254.0251.0xfE": "169.254.169.254",
    "169.0xfea9fe": "169.254.169.254",
    "169.254.43518": "169.254.169.254",
    "0xa83f8110": "168.63.129.16",
    "012.0.0.1": "10.0.0.1",
    "0300.0250.1.1": "192.168.1.1",
    "0xC0A80101": "192.168.1.1",
    "3232235777": "192.168.1.1",
    "4294967295": "255.255.255.255",
    "0xffffffff": "255.255.255.255",
    "037777777777": "255.255.255.255",
    # Nearly addresses: no C library reads them, and no name ends in a number.
    "256.0.0.1": BAD,
    "127.0.0.256": BAD,
    "127.0.65536": BAD,
    "127.16777216": BAD,
    "4294967296": BAD,
    "0x17f000001": BAD,
    "6425673729": BAD,  # 127.0.0.1 if a reader keeps only the last 32 bits
    "18446744075840258049": BAD,
    "127.0.0.1.1": BAD,
    "127.0.0.1.0": BAD,
    "08.0.0.1": BAD,
    "0x": BAD,
    "0x.1": BAD,
    "127..1": BAD,
    ".127.0.0.1": BAD,
    "-127.0.0.1": BAD,
    "+127.0.0.1": BAD,
    "1_27.0.0.1": BAD,
    "0o177.0.0.1": BAD,
    "0b1111111.0.0.1": BAD,
    "internal.1": BAD,
    # A dot at the end.
    "127.0.0.1.": "127.0.0.1",
    "127.1.": "127.0.0.1",
    "2130706433.": "127.0.0.1",
    "0x7f000001.": "127.0.0.1",
    "127.0.0.1..": BAD,
    # Other digits and dots, which IDNA maps to ASCII (RFC 3490 section 3.1, Unicode NFKC).
    "１２７.０.０.１": "127.0.0.1",
    "１２７。０。０。１": "127.0.0.1",
    "127。0。0。1": "127.0.0.1",
    "127．0．0．1": "127.0.0.1",
    "127｡0｡0｡1": "127.0.0.1",
    "127․0․0․1": "127.0.0.1",
    "⑯⑨.②⑤④.⑯⑨.②⑤④": "169.254.169.254",
    "𝟏𝟐𝟕.𝟎.𝟎.𝟏": "127.0.0.1",
    "¹²⁷.⁰.⁰.¹": "127.0.0.1",
    "０ｘ７ｆ.１": "127.0.0.1",
    "０１７７.１": "127.0.0.1",
    "⑫⑦.0.0.①": "127.0.0.1",
    "127。1。": "127.0.0.1",
    "⒈27.0.0.1": BAD,  # "1." in one character makes five numbers
    # `localhost`, which a hosts file knows.
    "localhost": "127.0.0.1",
    "LOCALHOST": "127.0.0.1",
    "LocalHost": "127.0.0.1",
    "localhost.": "127.0.0.1",
    "ｌｏｃａｌｈｏｓｔ": "127.0.0.1",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ": "127.0.0.1",
    "ⓛocalⒽost": "127.0.0.1",
    "𝐥𝐨𝐜𝐚𝐥𝐡𝐨𝐬𝐭": "127.0.0.1",
    "local\u00adhost": "127.0.0.1",  # a soft hyphen
    "local\u200bhost": "127.0.0.1",  # a space without width
    "localhoſt": "127.0.0.1",  # a long s
    "local\u200dhost": BAD,  # a joiner, which IDNA 2008 keeps
    "localhost..": BAD,
    ".localhost": BAD,
    # IPv6, compressed, expanded, in capitals.
    "[::1]": "::1",
    "[::]": "::",
    "[0::1]": "::1",
    "[::0001]": "::1",
    "[0:0:0:0:0:0:0:1]": "::1",
    "[0000:0000:0000:0000:0000:0000:0000:0001]": "::1",
    "[::0.0.0.1]": "::1",
    "[FE80::1]": "fe80::1",
    "[FD00:EC2::254]": "fd00:ec2::254",
    "[fd00:0ec2:0000:0000:0000:0000:0000:0254]": "fd00:ec2::254",
    "[FD20:CE:0:0:0:0:0:254]": "fd20:ce::254",
    "[ff02::1]": "ff02::1",
    # IPv4 in IPv6.
    "[::ffff:127.0.0.1]": "::ffff:127.0.0.1",
    "[::FFFF:7F00:1]": "::ffff:127.0.0.1",
    "[0:0:0:0:0:ffff:127.0.0.1]": "::ffff:127.0.0.1",
    "[0000:0000:0000:0000:0000:ffff:7f00:0001]": "::ffff:127.0.0.1",
    "[::ffff:a9fe:a9fe]": "::ffff:169.254.169.254",
    "[::ffff:169.254.169.254]": "::ffff:169.254.169.254",
    "[::127.0.0.1]": "::7f00:1",
    "[::7f00:1]": "::7f00:1",
    "[::169.254.169.254]": "::a9fe:a9fe",
    "[::ffff:0:127.0.0.1]": "::ffff:0:7f00:1",
    "[::ffff:0:a9fe:a9fe]": "::ffff:0:a9fe:a9fe",
    "[64:ff9b::127.0.0.1]": "64:ff9b::7f00:1",
    "[64:FF9B::A9FE:A9FE]": "64:ff9b::a9fe:a9fe",
    "[64:ff9b:1::10.0.0.1]": "64:ff9b:1::a00:1",
    "[2002:7f00:1::]": "2002:7f00:1::",
    "[2002:A9FE:A9FE::1]": "2002:a9fe:a9fe::1",
    "[2001:0:a00:1::f7f7:f7f7]": "2001:0:a00:1::f7f7:f7f7",
    "[2001::80ff:fffe]": "2001::80ff:fffe",
    "[fe80::5efe:127.0.0.1]": "fe80::5efe:7f00:1",
    "[2a00:1450::200:5efe:169.254.169.254]": "2a00:1450::200:5efe:a9fe:a9fe",
    # Nearly IPv6.
    "[::1": BAD,
    "::1]": BAD,
    "::1": BAD,
    "[::1].": BAD,
    "[[::1]]": BAD,
    "[::1]localhost": BAD,
    "[127.0.0.1]": BAD,
    "[localhost]": BAD,
    "[]": BAD,
    "[:::1]": BAD,
    "[::1::]": BAD,
    "[0:0:0:0:0:0:0:0:1]": BAD,
    "[::00001]": BAD,
    "[::g]": BAD,
    "[::1/128]": BAD,
    "[::ffff:127.1]": BAD,
    "[::ffff:0177.0.0.1]": BAD,
    "[::ffff:0x7f.0.0.1]": BAD,
    "[::ffff:127.0.0.256]": BAD,
    "[::127.0.0.1:1]": BAD,
    "[v1.127.0.0.1]": BAD,
    "[::１]": BAD,
    "[：：1]": BAD,
    "［::1］": BAD,
    # Zones.
    "[fe80::1%eth0]": BAD,
    "[fe80::1%25eth0]": BAD,
    "[fe80::1%1]": BAD,
    "[::1%lo]": BAD,
    "[::1%25]": BAD,
    "[::ffff:127.0.0.1%251]": BAD,
    # A user before the host.
    "good@127.0.0.1": BAD,
    "example.com@127.0.0.1": BAD,
    "example.com:80@127.0.0.1:80": BAD,
    "@127.0.0.1": BAD,
    ":@127.0.0.1": BAD,
    "127.0.0.1@example.com": BAD,
    "a@b@127.0.0.1": BAD,
    "example.com＠127.0.0.1": BAD,
    "example.com%40127.0.0.1": BAD,
    # Encoded characters.
    "%31%32%37.0.0.1": BAD,
    "127%2e0%2e0%2e1": BAD,
    "127.0.0.1%2f.example.com": BAD,
    "127.0.0.1%00.example.com": BAD,
    "%6c%6f%63%61%6c%68%6f%73%74": BAD,
    "127.0.0.1%0d%0a": BAD,
    "%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1": BAD,
    "％31％32％37.0.0.1": BAD,
    # Characters that end a host for one reader, and not for another.
    "127.0.0.1\\": BAD,
    "127.0.0.1\\@example.com": BAD,
    "example.com\\@127.0.0.1": BAD,
    "example.com\\.127.0.0.1": BAD,
    "127.0.0.1 ": BAD,
    " 127.0.0.1": BAD,
    "127.0.0.1 example.com": BAD,
    "127.0.0.1\t": BAD,
    "127.0.\t0.1": BAD,
    "127.0.0.1\n": BAD,
    "127.\n0.0.1": BAD,
    "local\rhost": BAD,
    "127.0.0.1\r\nHost: example.com": BAD,
    "127.0.0.1\x00": BAD,
    "127.0.0.1\x00.example.com": BAD,
    "127.0.0.1\x0b": BAD,
    "127.0.0.1\x1f": BAD,
    "127.0.0.1\x7f": BAD,
    "127.0.0.1\u00a0": BAD,
    "127.0.0.1\u2028": BAD,
    "127.0.0.1\u3000": BAD,
    "127.0.0.1／.example.com": BAD,
    "127.0.0.1？.example.com": BAD,
    "127.0.0.1＃.example.com": BAD,
    "127.0.0.1：80": BAD,
    "127.0.0.1℀example.com": BAD,  # "a/c" in one character
    "127.0.0.1;example.com": BAD,
    "127.0.0.1,example.com": BAD,
    "127.0.0.1&example.com": BAD,
    "*": BAD,
    "$(hostname)": BAD,
    "example.com\ud800": BAD,
    # Ports.
    "127.0.0.1:80": "127.0.0.1",
    "127.0.0.1:6379": "127.0.0.1",
    "127.0.0.1:0080": "127.0.0.1",
    "[::1]:65535": "::1",
    "127.0.0.1:": BAD,
    "127.0.0.1:0": BAD,
    "127.0.0.1:65536": BAD,
    "127.0.0.1:000080": BAD,
    "127.0.0.1:80:80": BAD,
    "127.0.0.1:+80": BAD,
    "127.0.0.1:-1": BAD,
    "127.0.0.1:8_0": BAD,
    "127.0.0.1:８０": BAD,
    "127.0.0.1:http": BAD,
    "127.0.0.1:80.example.com": BAD,
    "[::1]:80:80": BAD,
    ":80": BAD,
}

# Whole URLs.
_URLS = {
    "http://127.0.0.1": "127.0.0.1",
    "HTTP://127.0.0.1/": "127.0.0.1",
    "hTTps://127.0.0.1/": "127.0.0.1",
    "http://127.0.0.1?@example.com/": "127.0.0.1",
    "http://127.0.0.1#@example.com/": "127.0.0.1",
    "http://127.0.0.1/#@example.com/": "127.0.0.1",
    "http://127.0.0.1/..//example.com/": "127.0.0.1",
    "http://127.0.0.1/@example.com:80/": "127.0.0.1",
    "http://127.0.0.1//example.com/?#": "127.0.0.1",
    "": BAD,
    "127.0.0.1": BAD,
    "//127.0.0.1/": BAD,
    "/hook": BAD,
    "http:": BAD,
    "http:/127.0.0.1/": BAD,
    "http:127.0.0.1": BAD,
    "http://": BAD,
    "http:///127.0.0.1/": BAD,
    "http://///127.0.0.1/": BAD,
    "http:\\\\127.0.0.1\\": BAD,
    "http:/\\127.0.0.1/": BAD,
    "\\\\127.0.0.1\\hook": BAD,
    " http://127.0.0.1/": BAD,
    "\thttp://127.0.0.1/": BAD,
    "http://127.0.0.1/ ": BAD,
    "http://127.0.0.1/\n": BAD,
    "ht\ntp://127.0.0.1/": BAD,
    "\ufeffhttp://127.0.0.1/": BAD,
    "http ://127.0.0.1/": BAD,
    "httpſ://127.0.0.1/": BAD,  # a long s
    "ｈｔｔｐ://127.0.0.1/": BAD,
    "http：//127.0.0.1/": BAD,
    "http://127.0.0.1/hook\\..\\": BAD,
    "http://127.0.0.1/\x01": BAD,
    "http://127.0.0.1/\ud800": BAD,
    "url:http://127.0.0.1/": BAD,
    "view-source:http://127.0.0.1/": BAD,
    "ftp://127.0.0.1/": BAD,
    "file:///etc/passwd": BAD,
    "gopher://127.0.0.1:6379/_FLUSHALL": BAD,
    "dict://127.0.0.1:11211/stats": BAD,
    "ws://127.0.0.1/": BAD,
    "httpx://127.0.0.1/": BAD,
    "unix:///var/run/docker.sock": BAD,
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/": BAD,
    "data:text/plain,127.0.0.1": BAD,
    "javascript:alert(1)": BAD,
    "http://127.0.0.1/" + "a" * 8192: BAD,
    "http://" + "a" * 64 + ".example.com/": BAD,
    "http://" + "a." * 127 + "aa/": BAD,
    "http://" + "ä" * 254 + "/": BAD,
    "http://xn--ä.example.com/": BAD,
    "http://faß.example.com/": BAD,  # xn--fa-hia in browsers, fass in IDNA 2003
}

# Names of which DNS says what the owner wants it to: where each leads, by the name that is asked.
_NAMES = {
    "127.0.0.1.nip.example": ("127.0.0.1.nip.example", "127.0.0.1"),
    "127-0-0-1.NIP.example.": ("127-0-0-1.nip.example", "127.0.0.1"),
    "7f000001.nip.example": ("7f000001.nip.example", "127.0.0.1"),
    "app.10.0.0.5.sslip.example": ("app.10.0.0.5.sslip.example", "10.0.0.5"),
    "a9fea9fe.rebind.example": ("a9fea9fe.rebind.example", "169.254.169.254"),
    "metadata.google.internal": ("metadata.google.internal", "169.254.169.254"),
    "168-63-129-16.example": ("168-63-129-16.example", "168.63.129.16"),
    "--1.sslip.example": ("--1.sslip.example", "::1"),
    "mapped.example": ("mapped.example", "::ffff:169.254.169.254"),
    "nat64.example": ("nat64.example", "64:ff9b::a9fe:a9fe"),
    "six-to-four.example": ("six-to-four.example", "2002:7f00:1::1"),
    "ula.example": ("ula.example", "fd00:ec2::254"),
    "0x7f.example": ("0x7f.example", "127.0.0.1"),
    "127.0.0.-1": ("127.0.0.-1", "127.0.0.1"),
    "127.0.0.1e0": ("127.0.0.1e0", "127.0.0.1"),
    "١٢٧.٠.٠.١": ("xn--9hbcp.xn--8hb.xn--8hb.xn--9hb", "127.0.0.1"),  # Arabic digits
    "127.0.0.1.localhost": ("127.0.0.1.localhost", "127.0.0.1"),
    "foo_bar.example": ("foo_bar.example", "192.168.1.1"),
    "bücher.example": ("xn--bcher-kva.example", "10.0.0.1"),
    "BÜCHER.example": ("xn--bcher-kva.example", "10.0.0.1"),
    "XN--BCHER-KVA.example": ("xn--bcher-kva.example", "10.0.0.1"),
    "ⓔⓧⓐⓜⓟⓛⓔ.ⓒⓞⓜ": ("example.com", "127.0.0.1"),
    "ｅｘａｍｐｌｅ。ｃｏｍ": ("example.com", "127.0.0.1"),
    "exam\u00adple.com": ("example.com", "127.0.0.1"),
    "ℯxample.com": ("example.com", "127.0.0.1"),
    "𝓮𝔁𝓪𝓶𝓹𝓵𝓮.com": ("example.com", "127.0.0.1"),
}

SPELLINGS = tuple(_spellings())
#: What a name server has to answer for `SPELLINGS`.
NAMES = {each.name: each.leads_to for each in SPELLINGS if each.name}


def spellings_of_ipv4(address: str) -> Iterator[str]:
    """Yield ways to write an IPv4 address as the host of a URL."""
    number = int(IPv4Address(address))
    a, b, c, d = IPv4Address(address).packed
    yield address
    yield f"{address}."
    yield f"{number}"
    yield f"{number:#x}"
    yield f"0{number:o}"
    yield f"{a}.{number & 0xFF_FFFF}"
    yield f"{a}.{b}.{number & 0xFFFF}"
    yield f"0x{a:02X}.0X{b:x}.{c:#x}.{d:#010x}"
    yield f"0{a:o}.0{b:o}.000{c:o}.0{d:o}"
    yield f"0{a:o}.{b:#x}.{number & 0xFFFF}"
    yield address.translate(_FULL_WIDTH)
    yield address.replace(".", "。")


def containers_of_ipv4(address: str) -> Iterator[str]:
    """Yield IPv6 addresses that contain an IPv4 address, in each form."""
    number = int(IPv4Address(address))
    forms = {
        "::": number,
        "::ffff:0:0": number,
        "::ffff:0:0:0": number,
        "64:ff9b::": number,
        "64:ff9b:1::": number,
        "64:ff9b:1:fffe::": number,
        "2002::": number << 80 | 1,
        "2001:0:808:808::": ~number & 0xFFFF_FFFF,
        "2001::f7f7:f7f7": number << 64,
        "fe80::5efe:0:0": number,
        "2a00:1450:4001:80b:0:5efe::": number,
        "2a00:1450:4001:80b:100:5efe::": number,
        "2a00:1450:4001:80b:200:5efe::": number,
        "2a00:1450:4001:80b:300:5efe::": number,
    }
    for base, bits in forms.items():
        yield str(IPv6Address(int(IPv6Address(base)) | bits))


def spellings_of_ipv6(address: str) -> Iterator[str]:
    """Yield ways to write an IPv6 address as the host of a URL."""
    number = int(IPv6Address(address))
    whole = ":".join(f"{number:032x}"[at : at + 4] for at in range(0, 32, 4))
    yield f"[{address}]"
    yield f"[{address.upper()}]"
    yield f"[{whole}]"
    yield f"[{':'.join(group.lstrip('0') or '0' for group in whole.split(':'))}]"
    yield f"[{whole[:30]}{IPv4Address(number & 0xFFFF_FFFF)}]"


_FULL_WIDTH = str.maketrans("0123456789.", "０１２３４５６７８９．")
