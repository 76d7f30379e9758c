"""Headers: every kind that people hand over."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message
from types import MappingProxyType
from typing import Any, ClassVar

import pytest

from frappe_hooksig import Reason, Scheme, VerificationError, providers
from frappe_hooksig._headers import MAX_HEADER, Environ, Header, indexed, is_readable
from frappe_hooksig._wire import wire_of

NAME = "X-Frappe-Webhook-Signature"


def message(*pairs: tuple[str, str]) -> Message:
    """Return headers as http.server has them."""
    headers = Message()
    for name, value in pairs:
        headers[name] = value
    return headers


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
    }
    HOLD_ONE: ClassVar[set[str]] = {"dict", "read-only"}


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
    """A signature may have a wrong length, but none that no MAC has in any spelling."""
    assert wire_of(scheme).parse({name: start + "a" * 128})
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


@pytest.mark.parametrize("value", [["a"], 1, object], ids=repr)
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


@pytest.mark.parametrize("headers", [None, 1, "X-A: b", b"X-A: b"], ids=repr)
def test_no_headers_at_all(headers: Any) -> None:
    """What is no headers is the caller's mistake."""
    with pytest.raises(TypeError, match="not a mapping"):
        indexed(headers)


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
