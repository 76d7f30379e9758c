"""Secrets: refusals, warnings, formats and the key made of them."""

from __future__ import annotations

import copy
import hashlib
import hmac
import warnings
from base64 import b64encode, urlsafe_b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frappe_hooksig import (
    ConfigurationError,
    Secret,
    SecretWarning,
    Verifier,
    generate_secret,
    providers,
)
from frappe_hooksig._keys import Key, make_keys, redacted
from frappe_hooksig.scheme import Digest, Scheme
from frappe_hooksig.secret import SecretFormat

GOOD = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"


def keys_of(
    secret: Any, secret_format: SecretFormat = "text", digest: Digest = "sha256", **fields: Any
) -> list[Key]:
    """Return the keys that a verifier makes of its secrets."""
    scheme = Scheme(
        name="made-up",
        signature_header="X-Signature",
        encoding="hex",
        secret_format=secret_format,
        digest=digest,
        **fields,
    )
    return make_keys(redacted(secret), scheme)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "empty"),
        (b"", "empty"),
        ("*****", "asterisks"),
        ("*", "asterisks"),
        (" ****\n", "asterisks"),
        (str(Secret(GOOD)), "asterisks"),
        (repr(Secret(GOOD)), "repr"),
        (repr(Secret(GOOD, id="new")), "repr"),
        ("whsec_", "empty after whsec_"),
        ("\u2022" * 12, "dots"),
        ("\0" * 32, "empty key"),
        (b"\0", "empty key"),
        ("v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "leave out the v1,"),
        ("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "public key"),
        ("-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n", "public key"),
        ("-----BEGIN RSA PUBLIC KEY-----\nMFkw", "public key"),
        ("-----BEGIN CERTIFICATE-----\nMFkw", "public key"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@host", "public key"),
        ("\ud800" * 20, "Unicode"),
        (None, "NoneType"),
        (12345, "int"),
        (bytearray(b"x" * 20), "bytearray"),
    ],
    ids=repr,
)
def test_refused(value: Any, message: str) -> None:
    """What can never be the shared secret is refused, by itself and in a Verifier."""
    with pytest.raises(ConfigurationError, match=message):
        Secret(value)


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_no_secret(nothing: Any) -> None:
    """Without a secret there is no Verifier: nothing is accepted unsigned."""
    with pytest.raises(ConfigurationError, match="no secret"):
        Verifier(nothing)


@pytest.mark.parametrize("several", [[GOOD, ""], [GOOD, None], [GOOD, 1]])
def test_one_bad_secret_among_several(several: Any) -> None:
    """A list is as good as its worst member."""
    with pytest.raises(ConfigurationError):
        Verifier(several)


def test_same_id_twice() -> None:
    """An id tells which secret matched, so it must be one secret's."""
    with pytest.raises(ConfigurationError, match="same id"):
        Verifier([Secret(GOOD, id="a"), Secret(GOOD + "2", id="a")])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (GOOD + "\n", "white space"),
        ("\ufeff" + GOOD, "byte order mark"),
        (" " + GOOD, "white space"),
        (f'"{GOOD}"', "quotes"),
        (f"'{GOOD}'", "quotes"),
        (GOOD + "<b>", "one of <>&"),
        (GOOD + "&", "one of <>&"),
        ("Zq7!", "shorter than 16 bytes"),
        ("x" * 40, "repeats itself"),
        ("abc" * 10, "repeats itself"),
        ('""', "quotes"),
        (f"b'{GOOD}'", "quotes"),
        ("a" + "\0" * 40, "shorter than 16 bytes"),
        ("changeme", "placeholder"),
        ("your-webhook-secret-here", "placeholder"),
        ("<webhook_secret>", "placeholder"),
        ("my_shared_secret", "placeholder"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "API key"),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "API key"),
        (f"Bearer {GOOD}", "API key"),
        ("xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzzqgy", "API key"),
    ],
    ids=repr,
)
def test_suspicious(value: str, message: str) -> None:
    """What is probably a mistake is used, with a warning that says what to do."""
    with pytest.warns(SecretWarning, match=message) as caught:
        Verifier(value)

    assert value not in "".join(str(warning.message) for warning in caught)
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize(
    "value",
    [
        GOOD,
        GOOD.encode(),
        "gehëim-密钥-lang-genug",
        generate_secret(),
        "whsec_test_secret",
        GOOD[:16],
        bytes(range(250, 200, -1)),  # random bytes may look like anything
        b"'<b>&'" + bytes(range(128, 160)) + b"'",
    ],
    ids=range(8),
)
def test_unsuspicious(value: str | bytes) -> None:
    """A good secret is used without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Verifier(value)


def test_what_a_sender_rewrites() -> None:
    """Only Frappe's own form rewrites HTML in a secret; GitHub's, say, does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Verifier(GOOD + "<b>&", scheme=providers.GITHUB)


@pytest.mark.parametrize(
    ("secret_format", "text"),
    [("hex", "0a" * 15), ("base64", "QUJDREVGR0hJSktMTU5P"), ("whsec", "whsec_QUJDREVGR0hJSktM")],
)
def test_short_once_decoded(secret_format: SecretFormat, text: str) -> None:
    """It is the key that must be long, not its text."""
    with pytest.warns(
        SecretWarning, match=r"the secret for scheme 'made-up' decodes to \d+ bytes only"
    ):
        keys_of(text, secret_format)


def test_equality() -> None:
    """Two secrets are equal if they and their ids are."""
    assert Secret(GOOD) == Secret(GOOD.encode())
    assert len({Secret(GOOD), Secret(GOOD), Secret(GOOD, id="a"), Secret(GOOD + "2")}) == 3
    assert Secret(GOOD) != GOOD


def test_used_byte_for_byte() -> None:
    """Nothing is stripped or normalised: Frappe signs with what was typed."""
    assert Secret(" a\n").reveal() == b" a\n"
    assert Secret("e\u0301").reveal() != Secret("\u00e9").reveal()
    assert Secret(b"\xff\x00").reveal() == b"\xff\x00"


def test_copies_are_the_secret_itself() -> None:
    """Copying a configuration does not fail on its secret."""
    secret = Secret(GOOD)

    assert copy.copy(secret) is secret
    assert copy.deepcopy({"secret": secret})["secret"] is secret


@pytest.mark.parametrize(
    ("secret_format", "text", "key"),
    [
        ("text", "whsec_AAAA", b"whsec_AAAA"),
        ("hex", "00ffAb", b"\x00\xff\xab"),
        ("base64", "AP+r", b"\x00\xff\xab"),
        ("base64", "AP8=", b"\x00\xff"),
        ("whsec", "whsec_AP+r", b"\x00\xff\xab"),
        ("whsec", "AP+r", b"\x00\xff\xab"),
        ("whsec", "whsec_AP8=", b"\x00\xff"),
        ("whsec", "whsec_AP8", b"\x00\xff"),
        ("whsec", "AP8", b"\x00\xff"),
        ("whsec", "whsec_/w", b"\xff"),
    ],
)
def test_formats(secret_format: SecretFormat, text: str, key: bytes) -> None:
    """A provider's way of writing keys is undone before signing."""
    (made,) = keys_of(text, secret_format)

    assert made.mac(b"", b"body", b"").digest() == hmac.digest(key, b"body", "sha256")


@pytest.mark.parametrize(
    ("secret_format", "text"),
    [
        ("hex", "abc"),
        ("hex", "0x12"),
        ("hex", "ab cd"),
        ("hex", "äöü"),
        ("base64", "AP8"),
        ("base64", "AP-r"),
        ("base64", "AP9="),  # not canonical: the last bits are not 0
        ("base64", "AP+r\n"),
        # Only all of the padding may be left out, and the last bits are 0 without it too.
        ("whsec", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"),
        ("whsec", "whsec_AP9"),
        ("whsec", "whsec_/w="),
        ("whsec", "whsec_/x"),
        ("whsec", "whsec_AP+rA"),
        ("whsec", "whsec_AP8=="),
        ("whsec", "whsec_AP8=\n"),
        ("whsec", "whsec_A-8"),
        ("whsec", "whsec_!!!!"),
        ("whsec", "whsec_é"),
        # HMAC fills a key up with NULs: these are all the empty key.
        ("hex", "00" * 32),
        ("base64", "A" * 40),
        ("whsec", "whsec_" + "A" * 40),
    ],
)
def test_unreadable_in_its_format(secret_format: SecretFormat, text: str) -> None:
    """A key that is not written as it must be is refused, not silently another key."""
    with pytest.raises(ConfigurationError, match="the secret for scheme 'made-up' must be"):
        keys_of(text, secret_format)


@pytest.mark.parametrize("secret_format", ["text", "hex", "base64", "whsec"])
def test_generate_secret(secret_format: SecretFormat) -> None:
    """A generated secret fits its format, has 32 bytes, is new, and survives Frappe's form."""
    secret = generate_secret(secret_format)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keys_of(secret, secret_format)
    assert secret != generate_secret(secret_format)
    assert not set("<>& '\"*") & set(secret)


def key_of(secret: str, secret_format: SecretFormat) -> bytes:
    """Return the 32 bytes that a generated secret is the text of."""
    if secret_format == "hex":
        return bytes.fromhex(secret)
    return urlsafe_b64decode(
        secret.removeprefix("whsec_").translate(str.maketrans("+/", "-_")) + "="
    )


@pytest.mark.parametrize("secret_format", ["text", "hex", "base64", "whsec"])
def test_ends_of_generated_secrets(secret_format: SecretFormat) -> None:
    """No shell takes one for an option or a path, and no form trims it."""
    generated = [generate_secret(secret_format) for _ in range(5_000)]

    assert all(each[0].isalnum() and each.rstrip("=")[-1].isalnum() for each in generated)
    decoded = {key_of(each, secret_format) for each in generated}
    assert {len(key) for key in decoded} == {32}
    assert len({key[0] for key in decoded}) == 248  # nothing else is left out
    assert all(len({key[i] for key in decoded}) == 256 for i in range(1, 32))


@pytest.mark.parametrize("secret_format", ["typo", None, providers.STANDARD_WEBHOOKS])
def test_generate_in_no_format(secret_format: Any) -> None:
    """What is no format is refused, not taken for another."""
    with pytest.raises(ConfigurationError, match="text, hex, base64, whsec"):
        generate_secret(secret_format)


# RFC 4231 sections 4.2 to 4.8 (4.6 is about truncation, which no scheme here does).
LARGE_KEY = b"\xaa" * 131
RFC_4231 = [
    (
        b"\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
        "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
    ),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
        "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
    ),
    (
        b"\xaa" * 20,
        b"\xdd" * 50,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39"
        "bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
    ),
    (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db"
        "a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
    ),
    (
        LARGE_KEY,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
        "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
    ),
    (
        LARGE_KEY,
        b"This is a test using a larger than block-size key and a larger than block-size data. "
        b"The key needs to be hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944"
        "b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58",
    ),
]


@pytest.mark.parametrize(("key", "data", "sha256", "sha512"), RFC_4231)
def test_rfc_4231(key: bytes, data: bytes, sha256: str, sha512: str) -> None:
    """The MACs are those of the RFC, however the message is cut into three."""
    for cut in (0, 1, len(data) // 2, len(data)):
        parts = data[:cut], data[cut : cut + 3], data[cut + 3 :]

        assert Key.of(key, "sha256").mac(*parts).hexdigest() == sha256
        assert Key.of(key, "sha512").mac(*parts).hexdigest() == sha512


# RFC 2202 section 3, test cases 1 and 2.
@pytest.mark.parametrize(
    ("key", "data", "sha1"),
    [
        (b"\x0b" * 20, b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
        (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
    ],
)
def test_rfc_2202(key: bytes, data: bytes, sha1: str) -> None:
    """SHA-1, which some providers still use, is right too."""
    assert Key.of(key, "sha1").mac(b"", data, b"").hexdigest() == sha1


@given(
    key=st.binary(min_size=1, max_size=300),
    parts=st.tuples(st.binary(), st.binary(), st.binary()),
    digest=st.sampled_from(["sha1", "sha256", "sha512"]),
)
def test_any_key(key: bytes, parts: tuple[bytes, bytes, bytes], digest: Digest) -> None:
    """The MACs are those of the standard library."""
    assert Key.of(key, digest).mac(*parts).digest() == hmac.digest(key, b"".join(parts), digest)


def test_a_key_is_used_many_times() -> None:
    """Signing leaves the key as it was."""
    key = Key.of(b"k" * 32, "sha256")

    assert key.mac(b"a", b"b", b"c").digest() == key.mac(b"", b"abc", b"").digest()


def test_key_keeps_no_secret() -> None:
    """The text of the secret is gone once the key is made."""
    raw = b"a secret of some length"
    key = Key.of(raw, "sha256")

    assert raw not in repr([getattr(key, name) for name in key.__slots__]).encode()
    assert hashlib.sha256(raw).digest() != key.mac(b"", raw, b"").digest()
    assert b64encode(raw).decode() not in repr(key)


class TestFromEnv:
    """`Secret.from_env()`."""

    def test_reads_when_it_is_called(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the variable holds at that moment counts, byte for byte."""
        monkeypatch.setenv("HOOK_SECRET", GOOD)
        first = Secret.from_env("HOOK_SECRET", id="new", not_after=5)
        monkeypatch.setenv("HOOK_SECRET", f"{GOOD}\udcff")

        assert first == Secret(GOOD, id="new", not_after=5)
        assert Secret.from_env("HOOK_SECRET").reveal() == GOOD.encode() + b"\xff"
        assert GOOD not in repr(first)

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (None, "the environment variable HOOK_SECRET is not set: it must contain a secret"),
            ("", "the environment variable HOOK_SECRET is empty"),
            ("*****", "the environment variable HOOK_SECRET is a row of asterisks"),
            ("whpk_" + GOOD, "the environment variable HOOK_SECRET is a public key"),
        ],
    )
    def test_errors_name_the_variable(
        self, monkeypatch: pytest.MonkeyPatch, value: str | None, message: str
    ) -> None:
        """Whoever reads the error knows which setting to look at."""
        monkeypatch.setattr("os.environ", {} if value is None else {"HOOK_SECRET": value})

        with pytest.raises(ConfigurationError) as caught:
            Secret.from_env("HOOK_SECRET")
        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize(
        "name",
        [
            *(GOOD, GOOD.lower(), GOOD.upper(), GOOD * 5, "A" * 65, None, b"HOOK", "\ud800"),
            *("QVWROMZXTYP", "QVWROM_ZXTYPAL", "KEYQVWROM_ZX", "SECRET_QVWROMZXTYPALKQX", ""),
            *("SECRET_" * 10, "WEBHOOK_SECRET_4F7Q2K", "Webhook_Secret"),
        ],
    )
    def test_secret_in_place_of_a_name(self, name: Any) -> None:
        """Whoever passes the secret itself does not find it in a log."""
        with pytest.raises(ConfigurationError, match="its name is not shown") as caught:
            Secret.from_env(name)
        frame = caught.tb.tb_next
        assert frame is not None
        assert "name" not in frame.tb_frame.f_locals
        assert GOOD not in f"{caught.value} {frame.tb_frame.f_locals!r}"

    @pytest.mark.parametrize(
        "name",
        [
            "HOOK_SECRET_2",
            "_HOOK",
            "hook_secret",
            "hook_2_secret",
            "STRIPE_API_KEY",
            "KEY2_OLD_TOKENS",
        ],
    )
    def test_names_that_are_shown(self, name: str) -> None:
        """Names that are spelled like one are named."""
        with pytest.raises(ConfigurationError, match=f"variable {name} is not set"):
            Secret.from_env(name)

    def test_name_of_a_variable_that_is_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So is any name of a variable that exists."""
        monkeypatch.setenv("Q", "")

        with pytest.raises(ConfigurationError, match="the environment variable Q is empty"):
            Secret.from_env("Q")

    def test_window_in_the_wrong_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So does the error about its moments."""
        monkeypatch.setenv("HOOK_SECRET", GOOD)

        with pytest.raises(ConfigurationError, match="variable HOOK_SECRET is never valid"):
            Secret.from_env("HOOK_SECRET", not_before=2, not_after=1)

    def test_warnings_name_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A warning does too, at the start and where the sender is known."""
        monkeypatch.setenv("HOOK_SECRET", f"sk_live_{GOOD}\n")

        with pytest.warns(SecretWarning, match="the environment variable HOOK_SECRET starts or"):
            secret = Secret.from_env("HOOK_SECRET")
        with pytest.warns(SecretWarning, match="the environment variable HOOK_SECRET looks like"):
            Verifier(secret)

    def test_others_have_no_source(self) -> None:
        """A secret that was passed came from the caller."""
        assert Secret(GOOD).source == ""
