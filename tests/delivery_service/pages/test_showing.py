"""What strangers sent is shown as text that controls nothing."""

from __future__ import annotations

import doctest
import json

import pytest
from delivery_service.pages.showing import MOST_SHOWN, excerpt, indented, sentence, visible, worded
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery_service.pages import login, showing

TRICKS = {
    "escape sequence": ("\x1b[31mred", "␛[31mred"),
    "NUL": ("a\0b", "a␀b"),
    "delete": ("a\x7fb", "a⟨U+007F⟩b"),
    "overwrites the line": ("good\rbad", "good␍bad"),
    "right to left": ("\u202egpj.exe", "⟨U+202E⟩gpj.exe"),
    "isolate": ("\u2066a\u2069", "⟨U+2066⟩a⟨U+2069⟩"),
    "zero width": ("pay\u200bpal", "pay⟨U+200B⟩pal"),
    "tag": ("a\U000e0041", "a⟨U+E0041⟩"),
    "line separator": ("a\u2028b", "a⟨U+2028⟩b"),
    "line ends": ("a\r\nb\n\tc", "a\nb\n\tc"),
    "other scripts": ("Grüße, 你好, שלום", "Grüße, 你好, שלום"),
}


@pytest.mark.parametrize(("text", "shown"), TRICKS.values(), ids=TRICKS.keys())
def test_visible(text: str, shown: str) -> None:
    """Characters that are invisible or that control something are shown as symbols."""
    assert visible(text) == shown


@pytest.mark.parametrize("module", [showing, login])
def test_examples(module: object) -> None:
    """The examples of the docstrings are true."""
    assert not doctest.testmod(module).failed  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("ü".encode("latin-1"), "\ufffd"),
        (b"", ""),
    ],
    ids=["bytes", "Latin-1", "empty"],
)
def test_no_utf8(content: bytes, text: str) -> None:
    """What is no UTF-8 is replaced."""
    assert excerpt(content).text == text


def test_long_content() -> None:
    """Long content is cut, and says how long it is."""
    found = excerpt(b"a" * (MOST_SHOWN + 1))

    assert (len(found.text), found.is_cut, found.length) == (MOST_SHOWN, True, MOST_SHOWN + 1)


def test_indentation() -> None:
    """Each part of JSON gets a line, and every token stays as it was sent."""
    payload = b'{"a":1.10,"a":[],"b":[1,{"c":"x\\u202e\\"}"}]}'

    assert (
        indented(payload).text.splitlines()
        == [
            "",
            "{",
            '  "a": 1.10,',
            '  "a": [],',
            '  "b": [',
            "    1,",
            "    {",
            '      "c": "x\\u202e\\"}"',
            "    }",
            "  ]",
            "}",
        ][1:]
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
)


@settings(max_examples=30)
@given(st.lists(JSON) | st.dictionaries(st.text(), JSON))
def test_indented_json(value: object) -> None:
    """The indented text means the same."""
    assert json.loads(indented(json.dumps(value).encode()).text) == value


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\a1 \n').map(str.encode))
def test_no_json(content: bytes) -> None:
    """What only begins like JSON is shown, too, and loses nothing but white space."""
    shown = "".join(indented(content).text.split())

    assert shown == "".join(excerpt(content).text.split())


@pytest.mark.parametrize("content", [b"[" * 10**6, b"[1," * 10**5, b'{"a":' * 10**5, b'"' * 10**5])
def test_bounded_indentation(content: bytes) -> None:
    """However deep it is nested, what is shown is not much longer than what was sent."""
    found = indented(content)

    assert len(found.text) < 4 * MOST_SHOWN
    assert found.is_cut


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("url= cannot be used: no host", "the URL cannot be used: no host"),
        ("`idempotency_key=` was used before", "the idempotency key was used before"),
        ("it has 9 bytes (max_payload=)", "it has 9 bytes"),
        ("https://a.example/?b= c", "https://a.example/?b= c"),
        ("headers={} for none", "headers={} for none"),
    ],
    ids=["argument", "in marks", "setting", "URL", "code"],
)
def test_worded(text: str, shown: str) -> None:
    """The names of arguments become those of fields; what is no name of one stays."""
    assert worded(text) == shown


def test_sentence() -> None:
    """A message becomes a sentence, once."""
    assert [sentence("it is so"), sentence("Is it?"), sentence("")] == ["It is so.", "Is it?", "."]
