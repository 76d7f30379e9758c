"""Nothing secret in what an adapter refuses while an app is set up."""

from __future__ import annotations

import asyncio
import copy
import pickle
import traceback
from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest
import requests

from frappe_hooksig import ConfigurationError, Scheme, Secret, providers
from frappe_hooksig.integrations import django, fastapi, flask, frappe, starlette
from frappe_hooksig.integrations.httpx import AsyncSignedTransport, SignedTransport
from frappe_hooksig.integrations.requests import SignedAuth
from tests.test_redaction import BODY, PACKAGE, SECRET, assert_nothing_secret, frames_of_ours

DECORATORS: dict[str, Any] = {
    "django": django,
    "flask": flask,
    "frappe": frappe,
    "starlette": starlette,
}


def entries() -> dict[str, Callable[..., object]]:
    """Return everything that takes a secret, by name."""
    of_schemes = {name: module.verify_webhook for name, module in DECORATORS.items()}
    of_frappe = {f"{name}-frappe": each.verify_frappe_webhook for name, each in DECORATORS.items()}
    return (
        of_schemes
        | of_frappe
        | {
            "fastapi": fastapi.Webhook,
            "fastapi-frappe": lambda _scheme, **options: fastapi.FrappeWebhook(**options),
        }
    )


@pytest.mark.parametrize("name", entries())
@pytest.mark.parametrize(
    "options", [{"tolerance": 5}, {"max_body": -1}, {"secret": [SECRET, ""]}], ids=str
)
def test_refused_options(name: str, options: dict[str, Any]) -> None:
    """Error reporters that record the local variables of every frame learn nothing."""
    args = () if name.endswith("-frappe") and "fastapi" not in name else (providers.GITHUB,)

    with pytest.raises(ConfigurationError) as caught:
        entries()[name](*args, **{"secret": SECRET, **options})

    assert_nothing_secret(frames_of_ours(caught.value))


@pytest.mark.parametrize("name", DECORATORS)
@pytest.mark.parametrize(
    "options", [{}, {"secret": SECRET}, {"secrets": SECRET}], ids=["0", "1", "2"]
)
def test_secret_where_the_view_belongs(name: str, options: dict[str, Any]) -> None:
    """Nor from one that was not given by name."""
    with pytest.raises(ConfigurationError, match=r"options? ") as caught:
        DECORATORS[name].verify_frappe_webhook(SECRET, **options)

    assert_nothing_secret(frames_of_ours(caught.value))


@pytest.mark.parametrize("name", [*DECORATORS, "fastapi"])
@pytest.mark.parametrize(
    "options", [{}, {"secret": SECRET}, {"secret": None}, {"secrets": SECRET}, {"tolerance": 5}]
)
@pytest.mark.parametrize(
    "misplaced",
    [SECRET, SECRET.encode(), [providers.GITHUB, SECRET], (SECRET, SECRET), {"secret": SECRET}],
    ids=["str", "bytes", "list", "tuple", "dict"],
)
def test_secret_where_the_scheme_belongs(
    name: str, misplaced: Any, options: dict[str, Any]
) -> None:
    """Nor from one that was passed as the scheme."""
    with pytest.raises(ConfigurationError) as caught:
        entries()[name](misplaced, **options)

    assert_nothing_secret(f"{caught.value!r} {caught.value.__context__!r}")
    assert_nothing_secret(frames_of_ours(caught.value))


def test_type_where_the_scheme_belongs() -> None:
    """The error names the type of what was passed."""
    with pytest.raises(ConfigurationError, match=r"expected a Scheme .*, not a str$"):
        flask.verify_webhook(cast("Any", SECRET))


@pytest.mark.parametrize("name", entries())
def test_url_where_the_store_belongs(name: str) -> None:
    """Nor from the URL of a server, which may contain its password."""
    args = () if name.endswith("-frappe") and "fastapi" not in name else (providers.FRAPPE,)

    with pytest.raises(ConfigurationError, match="store= is of type str, not a store") as caught:
        entries()[name](*args, secret=SECRET, store=f"redis://:{SECRET}@localhost")

    assert_nothing_secret(frames_of_ours(caught.value))


@pytest.mark.parametrize("name", entries())
def test_secret_that_is_not_set(name: str) -> None:
    """None, such as an environment variable that is not there, does not become the default."""
    args = () if name.endswith("-frappe") and "fastapi" not in name else (providers.FRAPPE,)

    with pytest.raises(ConfigurationError, match=r"secret= is None: .*secret=Secret\.from_env"):
        entries()[name](*args, secret=None)


OF_CLIENTS: dict[str, Any] = {
    each.__name__: each for each in (SignedAuth, SignedTransport, AsyncSignedTransport)
}


@pytest.mark.parametrize("name", OF_CLIENTS)
@pytest.mark.parametrize(
    "options",
    [
        {"secret": [SECRET, ""]},
        {"secret": None},
        {"secret": SECRET, "scheme": "github"},
        {"secret": "Kz5RtYb3Nc6Vf1Zq4H", "scheme": SECRET},
        {"secret": providers.GITHUB, "scheme": SECRET},
        {"secret": SECRET, "scheme": SECRET.encode()},
    ],
    ids=["empty", "none", "scheme", "misplaced", "swapped", "twice"],
)
def test_refused_options_of_clients(name: str, options: dict[str, Any]) -> None:
    """Nor from what signs the requests of an HTTP client."""
    with pytest.raises(ConfigurationError) as caught:
        OF_CLIENTS[name](**options)

    assert_nothing_secret(f"{caught.value!r} {caught.value.__context__!r}")
    assert_nothing_secret(frames_of_ours(caught.value))


@pytest.mark.parametrize("transport", [SignedTransport, AsyncSignedTransport])
def test_secret_in_the_place_of_a_transport(transport: Any) -> None:
    """Nor from one that was passed as the other transport."""
    with pytest.raises(
        ConfigurationError, match=r"transport= must be .*, not a builtins\.str$"
    ) as caught:
        transport("Kz5RtYb3Nc6Vf1Zq4H", transport=SECRET)

    assert_nothing_secret(frames_of_ours(caught.value))


@pytest.mark.parametrize("name", OF_CLIENTS)
@pytest.mark.parametrize("scheme", [providers.GITHUB, providers.GITLAB], ids=["signed", "sent"])
def test_clients_show_nothing(name: str, scheme: Scheme) -> None:
    """Neither do the objects themselves, nor what they keep."""
    made = OF_CLIENTS[name](SECRET, scheme=scheme)
    signer = made._signer  # noqa: SLF001

    assert repr(made) == f"{name}(scheme={scheme.name!r})"
    assert_nothing_secret(
        f"{made} {vars(made)} {[getattr(signer, each) for each in signer.__slots__]}"
    )
    assert copy.deepcopy(signer) is copy.copy(signer) is signer
    with pytest.raises(TypeError, match="cannot be pickled: it contains a secret"):
        pickle.dumps(made)


@pytest.mark.parametrize("name", ["requests", "httpx", "httpx async"])
@pytest.mark.parametrize("scheme", [providers.GITHUB, providers.GITLAB], ids=["signed", "sent"])
def test_failure_of_clients(name: str, scheme: Scheme) -> None:
    """A request that does not come through leaves nothing in our frames, whatever the others do."""
    sends: dict[str, Callable[[str], object]] = {
        "requests": lambda url: requests.post(
            url, data=BODY, auth=SignedAuth(SECRET, scheme=scheme), timeout=5
        ),
        "httpx": lambda url: httpx.Client(transport=SignedTransport(SECRET, scheme=scheme)).post(
            url, content=BODY
        ),
        "httpx async": lambda url: asyncio.run(
            httpx.AsyncClient(transport=AsyncSignedTransport(SECRET, scheme=scheme)).post(
                url, content=BODY
            )
        ),
    }
    with pytest.raises((requests.ConnectionError, httpx.ConnectError)) as caught:
        sends[name]("http://127.0.0.1:1/")

    stack = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    ours = [str(frame.locals) for frame in stack if frame.filename.startswith(PACKAGE)]
    assert len(ours) == (0 if name == "requests" else 1)
    assert_nothing_secret("\n".join(ours))


@pytest.mark.parametrize("scheme", [providers.GITHUB, providers.GITLAB], ids=["signed", "sent"])
def test_refused_request_of_a_client(scheme: Scheme) -> None:
    """What is refused before it is sent shows nothing either."""
    auth = SignedAuth(Secret(SECRET, not_after=1), scheme=scheme)
    with pytest.raises(ConfigurationError, match="no secret is valid now") as caught:
        requests.post("http://127.0.0.1:1/", data=BODY, auth=auth, timeout=5)

    assert_nothing_secret(frames_of_ours(caught.value))
