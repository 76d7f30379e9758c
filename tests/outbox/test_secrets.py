"""Secrets and headers of endpoints: where they are, or encrypted; and shown nowhere."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

import frappe_hooksig
from frappe_hooksig import ConfigurationError, Secret
from frappe_hooksig.outbox import Outbox
from frappe_hooksig.outbox._secrets import Unavailable, Vault

PACKAGE = str(Path(frappe_hooksig.__file__).parent)
OLD, NEW, OTHER = (Fernet.generate_key() for _ in range(3))
TEXT = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"


def vault(*keys: Any, **references: Callable[[str], Any]) -> Vault:
    """Return a vault."""
    return Vault(keys, references)


def frames_of(error: BaseException) -> str:
    """Return the local variables of our frames, as an error reporter would record them."""
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    ours = [str(each.locals) for each in stack if each.filename.startswith(PACKAGE)]
    assert ours
    return "\n".join(ours)


# References


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable is read whenever it is asked for."""
    made = vault()
    monkeypatch.setenv("WEBHOOK_SECRET", TEXT)
    assert made.read("ep_1", "env:WEBHOOK_SECRET") == TEXT

    monkeypatch.setenv("WEBHOOK_SECRET", "another one")

    assert made.read("ep_1", "env:WEBHOOK_SECRET") == "another one"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["none", "LF", "CRLF"])
def test_from_a_file(tmp_path: Path, end: str) -> None:
    """A file is read without the line end that editors add; all else belongs to the secret."""
    path = tmp_path / "secret: 1"
    path.write_bytes(f" {TEXT}ü\n{end}".encode())

    assert vault().read("ep_1", f"file:{path}") == f" {TEXT}ü\n" * bool(end) or f" {TEXT}ü"


def test_from_a_function() -> None:
    """A prefix of the app's own gets the rest of the reference, colons included."""
    made = vault(vault={"team/a:b": TEXT}.get)

    assert made.check("vault:team/a:b") == "vault:team/a:b"
    assert made.read("ep_1", "vault:team/a:b") == TEXT


def test_another_environment() -> None:
    """The app may read `env:` and `file:` in its own way."""
    made = vault(env=lambda name: name * 2)

    assert made.read("ep_1", "env:A") == "AA"


def fail(_: str) -> str:
    """Fail as a client of a secret store could."""
    raise RuntimeError(TEXT)


MISSING = [
    pytest.param(
        "env:NOT_THERE_AT_ALL", "env:NOT_THERE_AT_ALL is not there, or is empty", id="env"
    ),
    pytest.param("file:/no/such", "file:/no/such cannot be read: FileNotFoundError", id="file"),
    pytest.param("file:/", "file:/ cannot be read: IsADirectoryError", id="folder"),
    pytest.param("own:a", "own:a is not there, or is empty", id="own"),
    pytest.param("empty:a", "empty:a is not there, or is empty", id="empty"),
    pytest.param("bytes:a", "bytes:a cannot be used: its function returned no str", id="bytes"),
    pytest.param("gone:a", "nothing is known to read gone: references", id="prefix"),
]


@pytest.mark.parametrize(("reference", "message"), MISSING)
def test_what_is_not_there(reference: str, message: str) -> None:
    """The message says where it was looked for, and not what an error says that is not ours."""
    made = vault(
        own=lambda _: None,
        empty=lambda _: "",
        bytes=lambda _: TEXT.encode(),
    )

    with pytest.raises(Unavailable) as caught:
        made.read("ep_1", reference)

    assert str(caught.value).startswith(message)
    assert caught.value.reason == "secret-missing"
    assert TEXT not in f"{caught.value!r} {frames_of(caught.value)}"


@pytest.mark.parametrize(
    ("reference", "error"), [("broken:a", "RuntimeError"), ("missing:a", "KeyError")]
)
def test_a_function_that_fails(reference: str, error: str) -> None:
    """What a function of the app cannot read now, it may read later."""
    made = vault(broken=fail, missing=dict[str, str]().__getitem__)

    with pytest.raises(Unavailable, match=f"{reference} cannot be read: {error}") as caught:
        made.read("ep_1", reference)

    assert caught.value.reason == "secret-unreadable"
    assert TEXT not in f"{caught.value!r} {frames_of(caught.value)}"


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """A secret of any bytes is stored encrypted; a file has text."""
    path = tmp_path / "secret"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(Unavailable, match="cannot be read: UnicodeDecodeError"):
        vault().read("ep_1", f"file:{path}")


@pytest.mark.parametrize(
    "reference", ["", "env", "env:", ":A", "ENV:A", "gone:a", TEXT, None, 7, b"env:A", f"x:{TEXT}"]
)
def test_no_reference(reference: Any) -> None:
    """What has no known prefix may be the secret itself, so it is not shown."""
    with pytest.raises(ConfigurationError, match="must begin with env:, file:, own: and") as caught:
        vault(own=fail).check(reference)

    assert TEXT not in f"{caught.value!r} {frames_of(caught.value)}"


@pytest.mark.parametrize(
    "name", ["A\ud800", "A\0", "A\nforged", "\x1b[31m", "A\u2028", "A" * 4097], ids=ascii
)
def test_no_name(name: str) -> None:
    """What a database may not store, or what forges a line of a log, is no reference."""
    with pytest.raises(ConfigurationError, match="in characters that can be printed"):
        vault().check(f"env:{name}")


def test_the_longest_name() -> None:
    """A reference may be as long as a path, and have any letters."""
    reference = f"file:{'ü ' * 2048}"

    assert vault().check(reference) == reference


@pytest.mark.parametrize(
    "references",
    [{"encrypted": fail}, {"": fail}, {"a:b": fail}, {"a b": fail}, {"own": None}, {7: fail}],
    ids=lambda references: repr(next(iter(references))),
)
def test_no_prefix(references: Any) -> None:
    """A prefix is a word, and not the one of what is stored."""
    with pytest.raises(ConfigurationError, match="references= must be a dict with a function"):
        Vault((), references)


# Encryption


@pytest.mark.parametrize(
    "secret",
    [Secret(TEXT), Secret("whsec_UXYzcjBtWjh0WXA1TGsyWHc5QmM3TmQ0"), Secret("ü🦄ü🦄-9fk2 Kd")],
    ids=["text", "whsec", "Unicode"],
)
def test_encrypted(secret: Secret) -> None:
    """What was encrypted can be read, and does not show."""
    made = vault(NEW)

    reference = made.encrypted("ep_1", secret)

    assert reference.startswith("encrypted:")
    assert made.read("ep_1", reference).encode() == secret.reveal()
    assert secret.reveal().decode() not in reference


def test_a_secret_of_any_bytes() -> None:
    """Bytes that are no UTF-8 come back as they were."""
    value = bytes(range(256))
    made = vault(NEW)

    found = made.read("ep_1", made.encrypted("ep_1", Secret(value)))

    assert found.encode("utf-8", "surrogateescape") == value


@pytest.mark.parametrize("text", ["", "Bearer \"'\\ 🦄", "x"])
def test_any_text(text: str) -> None:
    """The value of a header may be any text."""
    made = vault(NEW)

    assert made.read("ep_1", made.sealed("ep_1", text)) == text


def test_no_two_are_the_same() -> None:
    """Whoever sees the rows cannot see who shares a secret."""
    made = vault(NEW)

    assert made.encrypted("ep_1", Secret(TEXT)) != made.encrypted("ep_1", Secret(TEXT))


def test_swapped_rows() -> None:
    """Whoever can write rows cannot let one endpoint sign with the secret of another one."""
    made = vault(NEW)
    reference = made.encrypted("ep_1", Secret(TEXT))

    with pytest.raises(Unavailable, match="belongs to another endpoint") as caught:
        made.read("ep_2", reference)

    assert caught.value.reason == "secret-missing"
    assert TEXT not in f"{caught.value!r} {frames_of(caught.value)}"


def test_rotation_of_keys() -> None:
    """The newest key encrypts; older ones decrypt for as long as they are there."""
    old = vault(OLD).encrypted("ep_1", Secret(TEXT))
    both = vault(NEW, OLD)

    new = both.encrypted("ep_1", Secret(TEXT))

    assert both.read("ep_1", old) == both.read("ep_1", new) == TEXT
    assert vault(NEW).read("ep_1", new) == TEXT
    with pytest.raises(Unavailable, match="with another key than those in keys="):
        vault(OLD).read("ep_1", new)


@pytest.mark.parametrize("keys", [[], [OTHER]], ids=["none", "other"])
def test_without_the_key(keys: list[bytes]) -> None:
    """The key is missing, not the secret: that is another thing to mend."""
    reference = vault(NEW).encrypted("ep_1", Secret(TEXT))

    with pytest.raises(Unavailable, match="keys=") as caught:
        vault(*keys).read("ep_1", reference)

    assert caught.value.reason == "key-missing"


@pytest.mark.parametrize("token", ["", "x", "🦄", "gAAAA"])
def test_a_token_that_was_changed(token: str) -> None:
    """Whatever is in a row, it is one error."""
    with pytest.raises(Unavailable, match="with another key than those in keys="):
        vault(NEW).read("ep_1", f"encrypted:{token}")


@pytest.mark.parametrize(
    "text",
    ["7", TEXT, "[]", f'"{TEXT}"', f'["{TEXT}"]', f'{{"ep_1": "{TEXT}"}}', '["ep_1", "a", "b"]'],
    ids=range(7),
)
def test_a_token_of_something_else(text: str) -> None:
    """Text that the app has encrypted with the same key for another purpose is no secret."""
    foreign = Fernet(NEW).encrypt(text.encode()).decode()

    with pytest.raises(Unavailable, match="belongs to another endpoint") as caught:
        vault(NEW).read("ep_1", f"encrypted:{foreign}")

    assert TEXT not in frames_of(caught.value)


def test_without_a_key_to_encrypt_with() -> None:
    """The error says how to get one, and what to do instead."""
    made = vault()

    with pytest.raises(
        ConfigurationError, match=r"Fernet\.generate_key\(\).*secret_from="
    ) as error:
        made.encrypted("ep_1", Secret(TEXT))

    assert TEXT not in frames_of(error.value)


@pytest.mark.parametrize("key", [NEW, NEW.decode()], ids=["bytes", "str"])
def test_one_key(key: Any) -> None:
    """One key need not be in a list."""
    made = Vault(key, {})

    assert made.read("ep_1", made.encrypted("ep_1", Secret(TEXT))) == TEXT


@pytest.mark.parametrize(
    "keys",
    [["no key"], [""], [NEW, NEW[:-2]], [NEW, None], [NEW, 7], ["ü" * 44]],
    ids=["text", "empty", "short", "None", "number", "Unicode"],
)
def test_keys_that_cannot_be_used(keys: Any, tmp_path: Path) -> None:
    """No key is shown, not even a good one beside a bad one."""
    for make in (lambda: Vault(keys, {}), lambda: Outbox(tmp_path / "a", keys=keys)):
        with pytest.raises(ConfigurationError, match="keys= must be Fernet keys") as caught:
            make()

        shown = f"{caught.value!r} {caught.value.__context__!r} {frames_of(caught.value)}"
        assert [key for key in (NEW, OLD) if key.decode()[:20] in shown] == []


def test_keys_of_the_caller_are_left_alone() -> None:
    """The list that was passed is as it was, also after an error."""
    keys: list[Any] = [NEW, "no key"]

    with pytest.raises(ConfigurationError):
        Vault(keys, {})

    assert keys == [NEW, "no key"]


def test_without_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outbox with keys needs the extra, and says which; others do not."""
    monkeypatch.setitem(__import__("sys").modules, "cryptography.fernet", None)

    with pytest.raises(ModuleNotFoundError, match=r"pip install 'frappe-hooksig\[encryption\]'"):
        vault(NEW)
    assert vault().check("env:A") == "env:A"


def test_repr() -> None:
    """It shows nothing."""
    assert repr(vault(NEW)) == "<Vault>"
    assert os.environ["PATH"] not in repr(vars(vault(NEW))["_fernet"])
