"""Several schemes behind one endpoint: which one a request is judged by, and what is refused."""

from __future__ import annotations

import hashlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from frappe_hooksig import (
    ConfigurationError,
    Delivery,
    MultiVerifier,
    Scheme,
    VerificationError,
    Verifier,
    providers,
    sign_payload,
)

ONE = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
OTHER = "8Kx2Wm5Rt9Yb3Nc6Vf1Zq4Hs"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BASE64 = Scheme(name="webhook-base64", signature_header="X-Webhook-Signature", encoding="base64")
SHA1 = Scheme(
    name="webhook-sha1",
    signature_header="X-Webhook-Signature",
    encoding="hex",
    digest="sha1",
    prefix="sha1=",
)
NUMBERED = Scheme(name="numbered", signature_header=("X-One", "X-Two"), encoding="base64")


def signed(scheme: Scheme, secret: str = ONE) -> dict[str, str]:
    """Return the headers of a request under a scheme."""
    return sign_payload(b"{}", secret, scheme=scheme).headers


def outcome(multi: MultiVerifier, headers: Any) -> str:
    """Return which scheme a request was accepted by, or why it was refused."""
    try:
        whole = multi.verify(b"{}", headers)
    except VerificationError as error:
        return f"{error.reason} {error.header}"
    verification = multi.begin(headers)
    verification.update(b"{}")
    assert verification.finish().scheme is whole.scheme
    return whole.scheme.name


def test_each_is_accepted() -> None:
    """While senders move from one to another, both are good, each with its own secret."""
    multi = MultiVerifier(Verifier(ONE), Verifier(OTHER, scheme=providers.WEBHOOK_HEX))

    assert outcome(multi, signed(providers.FRAPPE)) == "frappe"
    assert outcome(multi, signed(providers.WEBHOOK_HEX, OTHER)) == "webhook-hex"
    assert outcome(multi, signed(providers.FRAPPE, OTHER)) == (
        "signature-mismatch X-Frappe-Webhook-Signature"
    )
    assert outcome(multi, {}) == "missing-header X-Frappe-Webhook-Signature"


@pytest.mark.parametrize(
    "several",
    [
        (providers.GITHUB, providers.GITHUB_SHA1),
        (providers.STANDARD_WEBHOOKS, providers.FRAPPE, providers.GITHUB_SHA1),
        (providers.WEBHOOK_TIMESTAMPED, BASE64, SHA1, providers.GITLAB),
    ],
    ids=lambda each: " ".join(scheme.name for scheme in each),
)
def test_strongest_first(several: tuple[Scheme, ...]) -> None:
    """Of those that are there the strongest is taken, however they are listed."""
    secrets = {scheme: ONE if scheme.secret_format == "text" else WHSEC for scheme in several}
    secrets |= {several[-1]: OTHER}
    if several[0] is providers.WEBHOOK_TIMESTAMPED:
        secrets |= {several[0]: "Zb4Nk8Wd2Xq6Tm1Vr9Lc3Hp7"}
    for order in permutations(several):
        multi = MultiVerifier(*(Verifier(secrets[scheme], scheme=scheme) for scheme in order))
        everything: dict[str, str] = {}
        for scheme in reversed(several):
            everything |= signed(scheme, secrets[scheme])

        assert outcome(multi, everything) == several[0].name
        assert [each.scheme.signs_timestamp for each in multi.verifiers] == sorted(
            (scheme.signs_timestamp for scheme in several), reverse=True
        )


@pytest.mark.parametrize(
    "wrong", ["", "sha256=", "sha256=" + "0" * 64, "sha1=", "\u00e9", "x" * 9000]
)
def test_failure_is_final(wrong: str) -> None:
    """What is wrong under the strongest is not tried under a weaker one."""
    multi = MultiVerifier(
        Verifier(ONE, scheme=providers.GITHUB), Verifier(ONE, scheme=providers.GITHUB_SHA1)
    )
    headers = signed(providers.GITHUB_SHA1) | {"X-Hub-Signature-256": wrong}

    assert outcome(multi, signed(providers.GITHUB_SHA1)) == "github-sha1"
    assert outcome(multi, headers).endswith(" X-Hub-Signature-256")


@pytest.mark.parametrize("as_pairs", [False, True])
def test_doubled(as_pairs: bool) -> None:  # noqa: FBT001
    """A header that occurs twice is refused before anything is chosen by it."""
    multi = MultiVerifier(Verifier(ONE), Verifier(ONE, scheme=providers.GITHUB))
    pairs = [*signed(providers.GITHUB).items()] * 2

    headers: Any = pairs if as_pairs else {name: f"{value},{value}" for name, value in pairs}

    assert outcome(multi, headers) == "duplicate-header X-Hub-Signature-256"


@pytest.mark.parametrize("scheme", [providers.WEBHOOK_HEX, providers.WEBHOOK_SHA256, BASE64, SHA1])
def test_same_header(scheme: Scheme) -> None:
    """From hex to base64 in one header: the form of the signature decides."""
    several = (providers.WEBHOOK_HEX, providers.WEBHOOK_SHA256, BASE64, SHA1)
    multi = MultiVerifier(*(Verifier(ONE, scheme=each) for each in several))

    assert outcome(multi, signed(scheme)) == scheme.name
    assert outcome(multi, signed(scheme, OTHER)) == "signature-mismatch X-Webhook-Signature"
    assert outcome(multi, {"X-Webhook-Signature": "?"}) == "malformed-header X-Webhook-Signature"


def test_same_header_and_a_time_in_it() -> None:
    """A signature alone in a header is none of those that have their time beside them."""
    bare = Scheme(name="bare", signature_header="Mux-Signature", encoding="hex", prefix="v1=")
    multi = MultiVerifier(Verifier(ONE, scheme=bare), Verifier(OTHER, scheme=providers.MUX))

    assert outcome(multi, signed(bare)) == "bare"
    assert outcome(multi, signed(providers.MUX, OTHER)) == "mux"


def test_same_header_and_a_token() -> None:
    """From a secret that is sent to a signature in one header: what is none is the secret."""
    token = Scheme(
        name="token", signature_header="X-Webhook-Signature", signed="", encoding="plain"
    )
    multi = MultiVerifier(
        Verifier(ONE, scheme=token), Verifier(OTHER, scheme=providers.WEBHOOK_SHA256)
    )

    assert outcome(multi, signed(token)) == "token"
    assert outcome(multi, signed(providers.WEBHOOK_SHA256, OTHER)) == "webhook-sha256"
    wrong = {"X-Webhook-Signature": "sha256=" + "0" * 64}
    assert outcome(multi, wrong) == "signature-mismatch X-Webhook-Signature"


def test_same_header_and_a_time() -> None:
    """A request with a time is judged with it, and one that lacks it by the scheme without."""
    multi = MultiVerifier(
        Verifier(ONE, scheme=providers.WEBHOOK_SHA256),
        Verifier(OTHER, scheme=providers.WEBHOOK_TIMESTAMPED),
    )
    timed = signed(providers.WEBHOOK_TIMESTAMPED, OTHER)

    assert outcome(multi, timed) == "webhook-timestamped"
    assert outcome(multi, signed(providers.WEBHOOK_SHA256)) == "webhook-sha256"
    del timed["X-Webhook-Timestamp"]
    assert outcome(multi, timed) == "signature-mismatch X-Webhook-Signature"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (providers.CASHFREE, providers.WEBHOOK_TIMESTAMPED),
        (providers.CLOUDFLARE_STREAM, providers.STANDARD_WEBHOOKS),
    ],
    ids=lambda each: each.name,
)
def test_same_header_in_two_spellings(one: Scheme, other: Scheme) -> None:
    """Names of headers have no case, whatever the senders' pages write."""
    secrets = {one: ONE, other: WHSEC if other.secret_format == "whsec" else OTHER}
    for order in permutations(secrets):
        multi = MultiVerifier(*(Verifier(secrets[scheme], scheme=scheme) for scheme in order))
        for scheme in order:
            assert outcome(multi, signed(scheme, secrets[scheme])) == scheme.name


def test_half_of_the_headers() -> None:
    """If a time is missing and nothing else fits, that is what is said."""
    multi = MultiVerifier(Verifier(ONE, scheme=providers.SLACK), Verifier(OTHER))
    headers = signed(providers.SLACK)
    del headers["X-Slack-Request-Timestamp"]

    assert outcome(multi, headers) == "missing-header X-Slack-Request-Timestamp"


def test_numbered_headers() -> None:
    """One of several signature headers is enough to choose by."""
    multi = MultiVerifier(Verifier(ONE), Verifier(ONE, scheme=NUMBERED))
    (signature,) = signed(NUMBERED).values()

    assert outcome(multi, {"X-Two": signature}) == "numbered"


def test_many_headers_are_read_once() -> None:
    """A stranger's many headers are not walked through for each that a sender may have."""

    class Counted(dict[str, str]):
        """As frameworks' are: each look-up walks through all."""

        looks = 0

        def get(self, name: str, default: Any = None) -> Any:
            type(self).looks += 1
            return next((self[each] for each in self if each.lower() == name.lower()), default)

    multi = MultiVerifier(Verifier(ONE), Verifier(OTHER, scheme=providers.DOCUSIGN))

    for headers in (signed(providers.FRAPPE), signed(providers.DOCUSIGN, OTHER), {"X-A": "b"}):
        expected = outcome(multi, headers)
        assert outcome(multi, Counted(headers)) == expected
    assert Counted.looks == 0


def test_url() -> None:
    """Each verifier has its own registered URL."""
    url = "https://example.com/hooks"
    multi = MultiVerifier(Verifier(ONE), Verifier(OTHER, scheme=providers.SQUARE, url=url))
    headers = sign_payload(b"{}", OTHER, scheme=providers.SQUARE, url=url).headers

    assert multi.verify(b"{}", headers).scheme is providers.SQUARE
    assert multi.verify(b"{}", headers, url=url).scheme is providers.SQUARE
    with pytest.raises(VerificationError, match="the request's URL is not one of the registered"):
        multi.verify(b"{}", headers, url="https://example.com/other")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (providers.FRAPPE, providers.WEBHOOK_TIMESTAMPED),
        (providers.STRIPE, providers.GITHUB),
        (providers.SLACK, providers.GITHUB),
        (providers.ZENDESK, providers.FRAPPE),
        (providers.SQUARE, providers.FRAPPE),
        (providers.TWITCH, providers.STRIPE),
        (providers.BOX, providers.FRAPPE),
        (providers.GITLAB, providers.GITHUB),
        (providers.GITLAB, providers.STRIPE),
        (providers.STRIPE, providers.PADDLE),
        (providers.HUBSPOT_V3, providers.SQUARE),
        (providers.GITHUB_SHA1, providers.STRIPE),
    ],
    ids=lambda each: each.name,
)
def test_one_secret_for_two_contents(one: Scheme, other: Scheme) -> None:
    """A secret serves two schemes only if they sign the same content, whatever the hash."""
    for first, second in [(one, other), (other, one)]:
        verifiers = [Verifier(ONE, scheme=first), Verifier([OTHER, ONE], scheme=second)]
        with pytest.raises(ConfigurationError, match="have a secret in common"):
            MultiVerifier(*verifiers)
    assert MultiVerifier(Verifier(ONE, scheme=one), Verifier(OTHER, scheme=other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (providers.STRIPE, providers.MUX),
        (providers.STANDARD_WEBHOOKS, providers.SVIX),
        (providers.FRAPPE, providers.GITHUB),
        (providers.GITHUB, providers.GITHUB_SHA1),
    ],
    ids=lambda each: each.name,
)
def test_one_secret_for_one_content(one: Scheme, other: Scheme) -> None:
    """What is signed means the same under both."""
    secret = WHSEC if one.secret_format == "whsec" else ONE

    assert MultiVerifier(Verifier(secret, scheme=one), Verifier(secret, scheme=other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (providers.CIRCLECI, providers.GITHUB),
        (providers.SLACK, providers.ZOOM),
        (
            providers.SLACK,
            replace(providers.SLACK, name="mine", signature_header="X-Mine", body_id="/id"),
        ),
    ],
    ids=lambda each: each.name,
)
def test_one_key_for_two_deliveries(one: Scheme, other: Scheme) -> None:
    """One signature is good under both, but what it signs would be known by another id."""
    for first, second in permutations((one, other)):
        with pytest.raises(ConfigurationError, match="read a delivery's id from different places"):
            MultiVerifier(Verifier(ONE, scheme=first), Verifier(ONE, scheme=second))
    assert MultiVerifier(Verifier(ONE, scheme=one), Verifier(OTHER, scheme=other))


@pytest.mark.parametrize("timestamp_formats", [("unix", "unix-ms"), ("unix", "rfc3339")])
def test_times(timestamp_formats: tuple[Any, Any]) -> None:
    """Times of two forms are two contents."""
    verifiers = [
        Verifier(
            ONE,
            scheme=Scheme(
                name=f"scheme-{place}",
                signature_header=f"X-{place}",
                timestamp_header=f"X-Time-{place}",
                timestamp_format=timestamp_format,
                signed="{timestamp}.{body}",
                encoding="hex",
            ),
        )
        for place, timestamp_format in enumerate(timestamp_formats)
    ]

    with pytest.raises(ConfigurationError, match="do not sign the same content"):
        MultiVerifier(*verifiers)


def test_same_key_in_two_spellings() -> None:
    """It is the key that counts, not how the secret is written."""
    key = b"0123456789abcdefghijklmnopqrstuv"
    timed = Scheme(
        name="timed",
        signature_header="X-S",
        timestamp_header="X-T",
        signed="{timestamp}.{body}",
        secret_format="hex",
        encoding="hex",
    )

    with pytest.raises(ConfigurationError, match="have a secret in common"):
        MultiVerifier(Verifier(key), Verifier(key.hex(), scheme=timed))


@pytest.mark.parametrize(
    ("scheme", "secret"),
    [
        (providers.VERCEL, ONE),
        (providers.PAYSTACK, ONE),
        (providers.ADYEN, "1f8b03c9d27ae46550b19f3cd8e7720a64fd91b8253ce07a"),
        (providers.STANDARD_WEBHOOKS, WHSEC),
        (providers.STANDARD_WEBHOOKS, WHSEC.removeprefix("whsec_")),
    ],
    ids=["SHA-1", "SHA-512", "hex", "whsec", "base64"],
)
def test_key_that_is_sent(scheme: Scheme, secret: str) -> None:
    """Who has seen a token can sign with what it stands for, whatever the hash and the format."""
    verifiers = Verifier([OTHER, secret], scheme=providers.GITLAB), Verifier(secret, scheme=scheme)
    for first, second in permutations(verifiers):
        with pytest.raises(ConfigurationError, match="one of them sends it with each request"):
            MultiVerifier(first, second)
    assert MultiVerifier(Verifier(OTHER, scheme=providers.GITLAB), verifiers[1])


@pytest.mark.parametrize("count", [0, 1])
def test_too_few(count: int) -> None:
    """One verifier needs nothing around it."""
    with pytest.raises(ConfigurationError, match="takes two or more Verifier objects"):
        MultiVerifier(*[Verifier(ONE)] * count)


@pytest.mark.parametrize("other", [providers.GITHUB, ONE, None, Verifier])
def test_no_verifier(other: Any) -> None:
    """A scheme has no secret yet."""
    with pytest.raises(ConfigurationError, match="takes two or more Verifier objects"):
        MultiVerifier(Verifier(ONE), other)


def test_one_scheme_twice() -> None:
    """Two secrets of one sender are a list, of which each is tried."""
    with pytest.raises(ConfigurationError, match="pass it once, with its secrets as a list"):
        MultiVerifier(Verifier(ONE), Verifier(OTHER))


@pytest.mark.parametrize(
    ("one", "other"),
    [(providers.GITHUB, providers.META), (providers.GITHUB_SHA1, providers.INTERCOM)],
    ids=lambda each: each.name,
)
def test_same_headers_in_the_same_form(one: Scheme, other: Scheme) -> None:
    """All of one sender's requests would be judged by the other one's secret."""
    for first, second in permutations((one, other)):
        with pytest.raises(ConfigurationError, match="cannot be told apart by their headers"):
            MultiVerifier(Verifier(ONE, scheme=first), Verifier(OTHER, scheme=second))


def test_repr() -> None:
    """No secret in it."""
    multi = MultiVerifier(Verifier(ONE), Verifier(OTHER, scheme=providers.STRIPE))

    assert repr(multi).startswith(
        "MultiVerifier(Verifier(<1 secrets>, scheme='stripe', tolerance=300, "
    )


@pytest.mark.parametrize("digest", ["sha256", "sha1"])
def test_key_that_is_the_hash_of_another(digest: str) -> None:
    """HMAC hashes a long key first, so the long one and its hash are one key."""
    long = "k3y" * 30
    timed = Scheme(
        name="timed",
        signature_header="X-S",
        timestamp_header="X-T",
        signed="{timestamp}.{body}",
        encoding="hex",
        digest=digest,  # type: ignore[arg-type]
    )
    hashed = Scheme(
        name="hashed",
        signature_header="X-H",
        encoding="hex",
        digest=digest,  # type: ignore[arg-type]
        secret_format="hex",
    )
    key = hashlib.new(digest, long.encode()).hexdigest()

    with pytest.raises(ConfigurationError, match="have a secret in common"):
        MultiVerifier(Verifier(long, scheme=timed), Verifier(key, scheme=hashed))


URLS = ("https://a.example/hook", "https://a.example/other")


def time_of(delivery: Delivery) -> float:
    """Return when a delivery was made."""
    return float(delivery.json()["t"])


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        (Verifier(ONE, scheme=providers.CALENDLY), providers.TAILSCALE, "tolerance"),
        (Verifier(ONE, timestamp_from=time_of), providers.GITHUB, "tolerance"),
        (Verifier(ONE, scheme=providers.SQUARE, url=URLS), "square-too", "url"),
    ],
    ids=["tolerance", "timestamp_from", "url"],
)
def test_one_secret_and_two_checks(one: Verifier, other: Any, name: str) -> None:
    """What one refuses could be sent with the header of the other."""
    options: dict[str, Any] = {"scheme": other}
    if other == "square-too":
        scheme = replace(providers.SQUARE, name=other, signature_header="X-Square-Too")
        options = {"scheme": scheme, "url": URLS[0]}
    with pytest.raises(ConfigurationError, match=f"but not the same {name}: use different"):
        MultiVerifier(one, Verifier(ONE, **options))
    assert MultiVerifier(one, Verifier(OTHER, **options))


def test_one_secret_and_other_times_in_the_body() -> None:
    """So could a body in which the other one looks for its time elsewhere."""
    ours = Verifier(ONE, timestamp_from=time_of)
    theirs = Verifier(ONE, scheme=providers.GITHUB, timestamp_from=lambda _delivery: 0)

    with pytest.raises(ConfigurationError, match="but not the same timestamp_from"):
        MultiVerifier(ours, theirs)


def test_repr_of_a_refused_one() -> None:
    """Error reporters show the objects of the frames that an error came through."""
    made = MultiVerifier.__new__(MultiVerifier)

    assert repr(made) == "<MultiVerifier, refused>"


@pytest.mark.parametrize("spell", [b64encode, urlsafe_b64encode], ids=["standard", "URL-safe"])
@pytest.mark.parametrize("padding", ["=", ""], ids=["padded", "unpadded"])
@pytest.mark.parametrize("prefix", ["", "whsec_"])
def test_token_that_is_a_key_in_base64(
    spell: Callable[[bytes], bytes], padding: str, prefix: str
) -> None:
    """A token that is another scheme's key in any base64 would give that key away."""
    key = b"\xfb\xef\xbe\xff" * 4 + b"key7"  # has + and / in base64, and needs padding
    token = prefix + spell(key).decode().rstrip("=" if not padding else "")
    secret = f"whsec_{b64encode(key).decode()}"

    with pytest.raises(ConfigurationError, match="one of them sends it with each request"):
        MultiVerifier(
            Verifier(token, scheme=providers.GITLAB),
            Verifier(secret, scheme=providers.STANDARD_WEBHOOKS),
        )


def test_urls_of_one_secret_in_two_verifiers() -> None:
    """URLs that continue one another cannot be split between two verifiers with one secret."""
    other = replace(providers.SQUARE, name="other", signature_header="X-Other")
    verifiers = [
        Verifier(ONE, scheme=scheme, url=f"https://r.example/hook{path}")
        for scheme, path in ((providers.SQUARE, ""), (other, "/2"))
    ]

    with pytest.raises(ConfigurationError, match="not the same url"):
        MultiVerifier(*verifiers)
