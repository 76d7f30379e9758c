"""Headers: every kind that people hand over."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message
from http.client import parse_headers
from io import BytesIO
from types import MappingProxyType, SimpleNamespace
from typing import Any, ClassVar
from wsgiref.util import setup_testing_defaults

import pytest

from frappe_hooksig import (
    ConfigurationError,
    MultiVerifier,
    Reason,
    Scheme,
    VerificationError,
    Verifier,
    providers,
    sign_payload,
)
from frappe_hooksig._headers import MAX_HEADER, Environ, Header, indexed, is_readable
from frappe_hooksig._wire import wire_of

NAME = "X-Frappe-Webhook-Signature"


def message(*pairs: tuple[str, str]) -> Message:
    """Return headers as http.server has them."""
    headers = Message()
    for name, value in pairs:
        headers[name] = value
    return headers


def environ_of(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Return the environ of the standard library's WSGI server: repeated headers joined."""
    found: dict[str, Any] = {}
    setup_testing_defaults(found)
    for name, value in pairs:
        key = f"HTTP_{name.upper().replace('-', '_')}"
        found[key] = f"{found[key]},{value}" if key in found and key != "HTTP_HOST" else value
    return found


def values_by_name(*pairs: tuple[str, str]) -> dict[str, list[str]]:
    """Return headers as AWS has them in `multiValueHeaders`."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


class CasesOfOneKind:
    """What holds for every kind of headers; the classes below say which kinds there are.

    Attributes:
        KINDS: How each kind is made of (name, value) pairs.
        HOLD_ONE: Those that cannot hold a header twice.
    """

    KINDS: ClassVar[dict[str, Any]] = {}
    HOLD_ONE: ClassVar[set[str]] = set()

    @pytest.fixture
    def make(self, kind: str) -> Any:
        """Return what makes headers of the kind."""
        return self.KINDS[kind]

    @pytest.mark.parametrize("spelling", [NAME, NAME.lower(), NAME.upper(), NAME.swapcase()])
    def test_any_case(self, make: Any, spelling: str) -> None:
        """A header is found however it is spelled."""
        headers = make(("Host", "a"), (spelling, "abc="), ("Accept", "*/*"))

        assert Header(NAME).find(indexed(headers)) == "abc="

    def test_absent(self, make: Any) -> None:
        """An absent header is None."""
        assert Header(NAME).find(indexed(make(("Host", "a")))) is None
        assert Header(NAME).find(indexed(make())) is None

    def test_empty(self, make: Any) -> None:
        """An empty header is there."""
        assert Header(NAME).find(indexed(make((NAME, "")))) == ""

    def test_twice(self, make: Any) -> None:
        """A header that came twice is refused where the server kept both, equal or not."""
        with pytest.raises(VerificationError) as caught:
            Header(NAME).find(indexed(make((NAME, "abc="), (NAME, "abc="))))

        assert caught.value.reason is Reason.DUPLICATE_HEADER
        assert caught.value.header == NAME


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each case for each kind that its class names."""
    if metafunc.cls and issubclass(metafunc.cls, CasesOfOneKind):
        left_out = metafunc.cls.HOLD_ONE if metafunc.definition.name == "test_twice" else ()
        metafunc.parametrize("kind", [kind for kind in metafunc.cls.KINDS if kind not in left_out])


class TestStandardLibrary(CasesOfOneKind):
    """Headers that need no framework."""

    KINDS: ClassVar[dict[str, Any]] = {
        "dict": lambda *pairs: dict(pairs),
        "read-only": lambda *pairs: MappingProxyType(dict(pairs)),
        "pairs": lambda *pairs: list(pairs),
        "generator": lambda *pairs: (pair for pair in pairs),
        "bytes": lambda *pairs: [(name.encode(), value.encode()) for name, value in pairs],
        "email.message": message,
        "http.client": lambda *pairs: parse_headers(
            BytesIO("".join(f"{name}: {value}\r\n" for name, value in pairs).encode() + b"\r\n")
        ),
        "environ": environ_of,
        "lists": values_by_name,
        "read-only lists": lambda *pairs: MappingProxyType(values_by_name(*pairs)),
    }
    HOLD_ONE: ClassVar[set[str]] = {"dict", "read-only", "environ"}


@pytest.mark.parametrize("second", [NAME.lower(), NAME.upper()])
def test_doubled_in_two_spellings(second: str) -> None:
    """A dict can hold a header twice too."""
    with pytest.raises(VerificationError) as caught:
        Header(NAME).find({NAME: "a", second: "a"})

    assert caught.value.reason is Reason.DUPLICATE_HEADER


def test_none_is_absent() -> None:
    """What `.get()` of a missing header returned, put into a dict, is still missing."""
    assert Header(NAME).find({NAME: None}) is None
    assert Header(NAME).find(indexed([(NAME, None)])) is None  # type: ignore[arg-type]
    assert Header(NAME).find({NAME.swapcase(): None}) is None
    assert Header(NAME).find({NAME: "a", NAME.lower(): None}) == "a"


def test_look_alike_name() -> None:
    """The Kelvin sign is a k in lower case, and no k."""
    assert Header(NAME).find(indexed([("X-Frappe-Webhoo\u212a-Signature", "a")])) is None


def test_lower_case_name() -> None:
    """A header that is documented in lower case is found as HTTP/1 servers spell it."""
    assert Header("webhook-id").find({"Webhook-Id": "msg_1"}) == "msg_1"


@pytest.mark.parametrize(
    "text", ["é", "Ã©", "a\n", "a\r\nb", "\x00", "a\tb", "\x7f", "\ud800", "１"], ids=ascii
)
def test_unprintable(text: str) -> None:
    """A value that cannot be a signature, a time or an id is malformed, and no exception else."""
    assert not is_readable(Header(NAME).find({NAME: text}) or "")
    with pytest.raises(VerificationError) as caught:
        wire_of(providers.FRAPPE).parse({NAME: text})

    assert caught.value.reason is Reason.MALFORMED_HEADER
    assert text not in str(caught.value)


def test_longest() -> None:
    """The limit itself is accepted, one more is not."""
    assert is_readable("a" * MAX_HEADER)
    assert wire_of(providers.GITLAB).parse({"X-Gitlab-Token": "a" * MAX_HEADER})
    with pytest.raises(VerificationError, match="longer than 8192"):
        wire_of(providers.GITLAB).parse({"X-Gitlab-Token": "a" * (MAX_HEADER + 1)})


@pytest.mark.parametrize(
    ("scheme", "name", "start"),
    [
        (providers.FRAPPE, NAME, ""),
        (providers.STRIPE, "Stripe-Signature", "t=1700000000,v1="),
        (providers.DOCUSIGN, "X-DocuSign-Signature-7", ""),
    ],
    ids=["one", "entries", "numbered"],
)
def test_longest_signature(scheme: Scheme, name: str, start: str) -> None:
    """A signature that is longer than any MAC in any spelling is not even looked at."""
    with pytest.raises(VerificationError, match="got 128 characters, as long as SHA-512 in hex"):
        wire_of(scheme).parse({name: start + "a" * 128})
    with pytest.raises(VerificationError, match="its signature is longer than 128") as caught:
        wire_of(scheme).parse({name: start + "a" * 129})
    assert caught.value.reason is Reason.MALFORMED_HEADER


@pytest.mark.parametrize(
    ("scheme", "separator"),
    [(providers.STRIPE, ","), (providers.PADDLE, ";"), (providers.STANDARD_WEBHOOKS, " ")],
)
def test_most_entries(scheme: Scheme, separator: str) -> None:
    """Entries are counted before they are split: 8 KiB of separators cost no more than a glance."""
    name = scheme.signature_headers[0]
    for text in (separator * 80, separator * MAX_HEADER, f"x{separator}" * 4096):
        with pytest.raises(VerificationError, match="it has more than 80 entries") as caught:
            wire_of(scheme).parse({name: text})
        assert caught.value.reason is Reason.MALFORMED_HEADER
        assert not wire_of(scheme).fits({name: text})
    with pytest.raises(VerificationError, match="it has no signature"):
        wire_of(scheme).parse({name: separator * 79})


def environ(**values: Any) -> Environ:
    """Return the headers of an environ, beside what a server puts there."""
    return Environ({"REQUEST_METHOD": "POST", "wsgi.input": None, **values})


def test_environ() -> None:
    """Headers are found under the keys of a WSGI environ, whose server joins repeated ones."""
    found = environ(HTTP_X_FRAPPE_WEBHOOK_SIGNATURE="a", CONTENT_TYPE="b", CONTENT_LENGTH="3")

    assert [Header(name).find(found) for name in (NAME, "Content-Type", "content-length")] == [
        *("a", "b", "3")
    ]
    assert Header("Host").find(found) is None
    assert Header(NAME).find(indexed(environ(HTTP_HOST="h"), whole=True)) is None
    with pytest.raises(VerificationError, match="occurs more than once"):
        wire_of(providers.FRAPPE).parse(environ(HTTP_X_FRAPPE_WEBHOOK_SIGNATURE="a,b"))
    with pytest.raises(VerificationError, match="not printable ASCII"):
        wire_of(providers.FRAPPE).parse(environ(HTTP_X_FRAPPE_WEBHOOK_SIGNATURE=7))


@pytest.mark.parametrize("value", [[1], [["a"]], {"a": "b"}, ("a",), 1, object], ids=repr)
def test_value_of_another_type(value: Any) -> None:
    """A value that is no text is refused, whatever made it."""
    with pytest.raises(VerificationError, match="not printable ASCII"):
        wire_of(providers.FRAPPE).parse({NAME: value})


def test_odd_bytes_in_a_parsed_message() -> None:
    """email.message makes an object of a header with bytes above ASCII; it is malformed."""
    parsed = message_from_bytes(f"{NAME}: ".encode() + b"\xe9\xff\r\n\r\n")

    with pytest.raises(VerificationError) as caught:
        wire_of(providers.FRAPPE).parse(parsed)
    assert caught.value.reason is Reason.MALFORMED_HEADER


class Request:
    """A request, as Starlette and aiohttp have it: a mapping, with its headers beside."""

    headers: ClassVar[dict[str, str]] = {}

    def get(self, _name: str) -> None:
        return None

    def __repr__(self) -> str:  # the same in each process that runs tests
        return "Request()"


@pytest.mark.parametrize(
    "headers",
    [
        *(None, 1, "X-A: b", b"X-A: b"),
        *([1], ["X-A: b"], [("X-A", "b", "c")], [(1, "b")]),
        *(Request(), [{"name": "X-A", "value": "b", "secure": "no"}]),
        *({"version": "2.0", "headers": {"x-a": "b"}}, {"multiValueHeaders": {"x-a": ["b"]}}),
        {"type": "http", "asgi": {"version": "3.0"}, "headers": [(b"x-a", b"b")]},
    ],
    ids=repr,
)
def test_no_headers_at_all(headers: Any) -> None:
    """What is no headers is the caller's mistake, and the message says what to pass."""
    with pytest.raises(ConfigurationError, match="pass the request's headers"):
        indexed(headers)


@pytest.mark.parametrize("scheme", [providers.GITHUB, providers.SLACK, providers.GETSTREAM])
@pytest.mark.parametrize(
    "headers", [["X-A: b"], [("X-A", "b", "c")], [1], [None], [("X-A",)], [(1, "b")], [()]]
)
def test_no_pairs_at_all(scheme: Scheme, headers: Any) -> None:
    """A list of something else is the caller's mistake for every scheme."""
    verifier = Verifier(SECRET, scheme=scheme)

    with pytest.raises(ConfigurationError, match="no pairs of a name and a value"):
        verifier.verify(b"{}", headers)
    with pytest.raises(ConfigurationError, match="no pairs of a name and a value"):
        verifier.begin(headers)


@pytest.mark.parametrize("name", ["headers", "multiValueHeaders", "asgi", "wsgi.multithread"])
@pytest.mark.parametrize("make", [dict, values_by_name], ids=["dict", "lists"])
def test_headers_with_the_names_of_others(make: Any, name: str) -> None:
    """No header of a stranger makes a request seem to be an environ, an event or a scope."""
    pairs = {name: "1", "HTTP_X_FRAPPE_WEBHOOK_SIGNATURE": "a", NAME: "b"}
    headers = make(pairs) if make is dict else make(*pairs.items())

    assert Header(NAME).find(indexed(headers)) == "b"
    del headers[NAME]
    assert Header(NAME).find(indexed(headers)) is None


SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
HEX = providers.WEBHOOK_HEX


@pytest.mark.parametrize(
    "verifier",
    [
        Verifier(SECRET),
        MultiVerifier(Verifier(SECRET), Verifier("8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs", scheme=HEX)),
    ],
    ids=["one", "several"],
)
@pytest.mark.parametrize("make", [environ_of, values_by_name], ids=["environ", "lists"])
def test_verify(verifier: Any, make: Any) -> None:
    """An environ and lists of values are verified, and a wrong or doubled signature is refused."""
    right = sign_payload(b"{}", SECRET).headers[NAME]

    assert verifier.verify(b"{}", make((NAME, right))).body == b"{}"
    for pairs, reason in (
        ([], Reason.MISSING_HEADER),
        ([(NAME, right), (NAME, right)], Reason.DUPLICATE_HEADER),
        ([(NAME, right[::-1])], Reason.SIGNATURE_MISMATCH),
        ([("HTTP-X-Frappe-Webhook-Signature", right)], Reason.MISSING_HEADER),
    ):
        with pytest.raises(VerificationError) as caught:
            verifier.verify(b"{}", make(*pairs))
        assert caught.value.reason is reason


@pytest.mark.parametrize("scheme", [providers.STANDARD_WEBHOOKS, providers.DOCUSIGN, providers.BOX])
@pytest.mark.parametrize("make", [environ_of, values_by_name], ids=["environ", "lists"])
def test_verify_several_headers(scheme: Scheme, make: Any) -> None:
    """Ids, times and numbered signatures are found there too, each at most once."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" if scheme.secret_format != "text" else SECRET
    signed = sign_payload(b"{}", secret, scheme=scheme).headers
    verifier = Verifier(secret, scheme=scheme)

    assert verifier.verify(b"{}", make(*signed.items()))
    for name in signed:
        with pytest.raises(VerificationError) as caught:
            verifier.verify(b"{}", make(*signed.items(), (name, signed[name])))
        assert caught.value.reason is Reason.DUPLICATE_HEADER
        assert caught.value.header is not None
        assert caught.value.header.lower() == name.lower()


def test_lists_in_two_spellings() -> None:
    """Lists of values are indexed, so that no spelling of a doubled header is overlooked."""
    headers: Any = indexed({NAME: ["a"], NAME.swapcase(): ["a"]})

    with pytest.raises(VerificationError, match="occurs more than once"):
        Header(NAME).find(headers)
    assert Header(NAME).find(indexed({NAME: []})) is None


def test_lists_beside_texts() -> None:
    """In a dict of both, a text counts as in a dict of texts, and a list as in a dict of lists."""
    other = NAME.swapcase()

    assert Header(NAME).find(indexed({NAME: "a", other: "b", "Accept": ["c"]})) == "a"
    assert Header(NAME).find(indexed({NAME: [], NAME.upper(): "a"})) == "a"
    for value in ("b", ["b"]):
        with pytest.raises(VerificationError, match="occurs more than once"):
            Header(NAME).find(indexed({NAME: ["a"], other: value, "Accept": "c"}))


def test_part_of_an_environ() -> None:
    """Without the server's own entries it could be a stranger's headers; the message says so."""
    right = sign_payload(b"{}", SECRET).headers[NAME]

    with pytest.raises(VerificationError) as caught:
        Verifier(SECRET).verify(b"{}", {"HTTP_X_FRAPPE_WEBHOOK_SIGNATURE": right})
    assert caught.value.reason is Reason.MISSING_HEADER
    assert str(caught.value) == (
        "no X-Frappe-Webhook-Signature header, which scheme 'frappe' needs: "
        "HTTP_X_FRAPPE_WEBHOOK_SIGNATURE is there, so pass the whole WSGI environ, or the "
        "framework's headers"
    )


def test_attributes_that_are_headers() -> None:
    """Sanic's headers have each header as an attribute; doubled ones stay visible."""

    class Headers(SimpleNamespace):
        """What counts of them."""

        def __getattr__(self, name: str) -> str:
            return self.get(name)

        def get(self, _name: str) -> str:
            return "a"

        def getall(self, _name: str) -> list[str]:
            return ["a", "b"]

    with pytest.raises(VerificationError, match="occurs more than once"):
        Header(NAME).find(indexed(Headers()))


def test_indexed_pairs_are_a_mapping() -> None:
    """What they become can be looked up as any other headers."""
    headers: Any = indexed([(NAME, "a"), ("Host", "b")])

    assert (headers.get(NAME.lower()), headers.get("X-Other")) == ("a", None)


def test_names_of_one_spelling_that_raise() -> None:
    """Some say that there is no header by raising KeyError."""

    class Headers:
        """What multidict and WebOb have in common."""

        def get(self, _name: str) -> None:
            return None

        def getall(self, name: str) -> list[str]:
            return {NAME: ["a"]}[name]

    assert Header(NAME).find(Headers()) == "a"
    assert Header("X-Other").find(Headers()) is None
