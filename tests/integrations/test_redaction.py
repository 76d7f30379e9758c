"""Nothing secret in what an adapter refuses while an app is set up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from frappe_hooksig import ConfigurationError, providers
from frappe_hooksig.integrations import django, fastapi, flask, frappe, starlette
from tests.test_redaction import SECRET, assert_nothing_secret, frames_of_ours

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
