"""What a refused request shows about its mistake."""

from __future__ import annotations

import base64
import hmac
import subprocess
import sys
from typing import Any

import pytest

from frappe_hooksig import Reason, VerificationError, Verifier, providers
from frappe_hooksig._escaping import escaped, escaped_url
from frappe_hooksig._headers import Environ
from frappe_hooksig.scheme import Scheme

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
BODY = b'{"order": "SO-00001"}'
NAME = "X-Frappe-Webhook-Signature"
WRONG = {NAME: "A" * 43 + "="}
HEX = "0" * 64
GITHUBS = {"X-Hub-Signature-256": f"sha256={HEX}"}


def verify_in_chunks(verifier: Verifier, headers: Any, body: bytes) -> None:
    """Verify a body that comes as one chunk."""
    verification = verifier.begin(headers)
    verification.update(body)
    verification.finish()


def refused(
    headers: Any, scheme: Scheme = providers.FRAPPE, body: bytes = BODY, **more: Any
) -> Any:
    """Return the error for a request, which is the same whole and in chunks."""
    secret = providers.get(scheme.name).secret_prefix + SECRET
    verifier = Verifier(secret, scheme=scheme, **more)
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    with pytest.raises(VerificationError) as whole:
        verifier.verify(body, headers)
    with pytest.raises(VerificationError) as chunks:
        verify_in_chunks(verifier, pairs, body)
    assert whole.value.args == chunks.value.args
    return whole.value


class Plain:
    """Headers with nothing but `get`."""

    def get(self, _name: str) -> None:
        """Return nothing."""


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (GITHUBS, "has X-Hub-Signature-256, which the schemes 'github' and 'meta' read"),
        ({"x-hub-signature": f"sha1={'0' * 40}", **GITHUBS}, "has X-Hub-Signature-256, which"),
        ({"X-Hub-Signature": f"sha256={HEX}"}, "which the schemes 'bitbucket' and 'jira' read"),
        ({"X-Hub-Signature": "?"}, "'bitbucket', 'github-sha1', 'intercom' and 'jira' read"),
        ({"Stripe-Signature": f"t=1,v1={HEX}"}, "Stripe-Signature, which scheme 'stripe' reads"),
        ({"Stripe-Signature": "," * 9000}, "Stripe-Signature, which scheme 'stripe' reads"),
        ({"Stripe-Signature": "," * 99}, "Stripe-Signature, which scheme 'stripe' reads"),
        ({"X-DocuSign-Signature-7": "x"}, "X-DocuSign-Signature-7, which scheme 'docusign' reads"),
        ({f"X-DOCUSIGN-Signature-{number}": "x" for number in range(1, 99)}, "-1, which scheme"),
        ([(b"x-hub-signature", b"sha256=" + b"0" * 64)], "the schemes 'bitbucket' and 'jira' read"),
        ({"X-Gitlab-Token": "a token"}, "X-Gitlab-Token, which scheme 'gitlab' reads"),
        ([*GITHUBS.items(), *GITHUBS.items()], "has X-Hub-Signature-256, which"),
        (Environ({"HTTP_X_HUB_SIGNATURE_256": f"sha256={HEX}", "PATH_INFO": "/"}), "-256, which"),
        ({"X-Signature-Of-Nobody": "x"}, "needs: the request is unsigned, or a proxy dropped it"),
        (Plain(), "needs: the request is unsigned, or a proxy dropped it"),
    ],
)
def test_other_sender(headers: Any, words: str) -> None:
    """The known signature header that came is named, with the schemes that read it."""
    with pytest.raises(VerificationError) as caught:
        Verifier(SECRET).verify(BODY, headers)

    assert caught.value.reason is Reason.MISSING_HEADER
    assert words in caught.value.message


def test_a_header_that_is_missing_beside_the_signature() -> None:
    """Where only a part of the sender's headers came, the request is not called unsigned."""
    headers = {"webhook-signature": "v1," + "A" * 43 + "=", "webhook-timestamp": "1795318000"}
    verifier = Verifier("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", scheme=providers.SVIX)
    with pytest.raises(
        VerificationError, match=r"has webhook-signature, which .*'standard-webhooks' read"
    ):
        verifier.verify(BODY, headers)
    with pytest.raises(VerificationError, match="needs: it was not sent, or a proxy dropped it"):
        verifier.verify(BODY, {"svix-signature": "v1," + "A" * 43 + "="})


@pytest.mark.parametrize(
    ("scheme", "text", "words"),
    [
        (
            "frappe",
            "0" * 40,
            "expected 44 characters of base64, got 40 characters, as long as SHA-1",
        ),
        ("frappe", "A" * 88, "got 88 characters"),
        ("frappe", "A" * 86 + "==", "got 88 characters, as long as SHA-512 in base64"),
        ("frappe", "forged", "got 6 characters"),
        ("frappe", "x", "expected 44 characters of base64, got 1 character"),
        ("frappe", f"Bearer {HEX}", "with a space among them; it begins with 'bearer '"),
        (
            "github",
            f"sha256={'0' * 40}",
            "expected 64 hex digits, got 40 characters, as long as SH",
        ),
        ("github", f"sha256= {HEX}", "got 65 characters with a space among them"),
        ("github", f"sha256 {HEX}", "no signature that starts with sha256=; it begins with 'sha25"),
        ("github", HEX, "no signature that starts with sha256=: it has one without that prefix"),
        ("github", "?", "no signature that starts with sha256="),
        ("github-sha1", f"sha256={HEX}", "but one that the schemes 'bitbucket' and 'jira' read"),
        ("stripe", "t=1795318000", "it has no signature that starts with v1="),
        ("stripe", f"t=1795318000,v1={'0' * 40},v1=1", "expected 64 hex digits, got 40 characters"),
    ],
)
def test_shape(scheme: str, text: str, words: str) -> None:
    """A signature of a length that no MAC of the scheme has is malformed; its length says why."""
    found = providers.get(scheme)
    error = refused({found.signature_headers[0]: text}, found)

    assert error.reason is Reason.MALFORMED_HEADER
    assert words in error.message


def test_shape_of_url_safe_base64() -> None:
    """It has no padding, and its length is another one."""
    made = Scheme(name="made-up", signature_header="X-Signed", encoding="base64url")

    with pytest.raises(VerificationError, match="expected 43 characters of URL-safe base64, got 6"):
        Verifier(SECRET, scheme=made).verify(BODY, {"X-Signed": "forged"})


def test_one_of_several_lengths() -> None:
    """One signature that can be right is enough: senders may add others."""
    mac = hmac.digest(b"whsec_" + SECRET.encode(), b"1795318000." + BODY, "sha256").hex()
    verifier = Verifier("whsec_" + SECRET, scheme=providers.STRIPE, clock=lambda: 1_795_318_000)

    assert verifier.verify(BODY, {"Stripe-Signature": f"t=1795318000,v1=abc,v1={mac}"})


@pytest.mark.parametrize(
    ("headers", "body", "words"),
    [
        (WRONG, BODY, "another secret was used, or the body was changed"),
        (WRONG | {"Content-Encoding": "identity"}, BODY, "another secret was used, or the body"),
        (WRONG | {"Content-Encoding": "br"}, BODY, "the body came compressed (Content-Encoding)"),
        ([*WRONG.items(), *[("Content-Encoding", "br")] * 2], BODY, "the body came compressed"),
        (WRONG, b"", "no body came (a redirect drops it)"),
        (WRONG | {"Transfer-Encoding": "chunked"}, b"", "no body came, because this server"),
        (WRONG | {"Transfer-Encoding": "chunked"}, BODY, "another secret was used, or the body"),
    ],
)
def test_mismatch(headers: Any, body: bytes, words: str) -> None:
    """The headers and the length of the body say what may have happened to it."""
    error = refused(headers, body=body)

    assert error.message.startswith(f"{NAME} does not match the body (scheme 'frappe'): {words}")
    assert error.log_message == error.message


@pytest.mark.parametrize("url", ["https://example.com/hook", "https://a:pw@example.com/hook?t=1"])
def test_mismatch_of_a_url(url: str) -> None:
    """The log has the URL without what may be secret in it; the message has none."""
    header = providers.SQUARE.signature_headers[0]
    error = refused({header: "A" * 43 + "="}, providers.SQUARE, url=url)

    assert "url= is not the URL that the sender has" in error.message
    assert "example.com" not in error.message
    assert "; the URL was https://example.com/hook" in error.log_message
    assert "pw" not in error.log_message
    assert "t=1" not in error.log_message


def test_method_that_is_none() -> None:
    """A method that no server would take is named as the reason."""
    header = {"X-HubSpot-Signature-V3": "A" * 43 + "=", "X-HubSpot-Request-Timestamp": "1" * 13}
    verifier = Verifier(SECRET, scheme=providers.HUBSPOT_V3, url="https://example.com/")

    with pytest.raises(VerificationError, match="the method, which is not written in capital"):
        verifier.verify(BODY, header, method="post")


def test_nothing_is_hashed_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the words about a header nor those about a shape compute a MAC."""
    verifier = Verifier([SECRET, SECRET + "2"])
    monkeypatch.setattr("frappe_hooksig._keys.Key.mac", None)

    for headers in ({}, GITHUBS, {NAME: "0" * 40}):
        with pytest.raises(VerificationError):
            verifier.verify(BODY, headers)


def test_words_are_loaded_for_an_error_only() -> None:
    """A genuine request loads neither the words nor the table of all senders."""
    code = (
        "import sys; from frappe_hooksig import Verifier, sign_payload; s = 'x1y2z3' * 5;"
        "d = sign_payload(b'a', s); Verifier(s).verify(d.body, d.headers);"
        "print([name for name in sys.modules if name.endswith(('.providers', '._clues'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/a/b", "/a/b"),
        ("\x1b[31m\r\n", r"\x1b[31m\r\n"),
        ("é\u2028\ud800", r"\xe9\u2028\ud800"),
        ("a" * 201, "a" * 200 + "..."),
        ("'\"\\", "\\'\"\\\\"),
    ],
)
def test_escaped(text: str, shown: str) -> None:
    """A text of a request stays on its line, in ASCII, and short."""
    assert escaped(text) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/a?b=c", "https://example.com/a?..."),
        ("https://example.com/a?", "https://example.com/a?"),
        ("https://me:pw@example.com", "https://example.com"),
        ("", ""),
        ("x@y", "x@y"),
    ],
)
def test_escaped_url(url: str, shown: str) -> None:
    """A URL is shown without password and query."""
    assert escaped_url(url) == shown


def test_right_signature_by_another_hash() -> None:
    """SHA-1 where SHA-256 belongs is told by its length alone."""
    mac = hmac.digest(SECRET.encode(), BODY, "sha1")

    for text in (mac.hex(), base64.b64encode(mac).decode()):
        assert "as long as SHA-1 in " in refused({NAME: text}).message
