"""Where a secret came from, in errors, warnings and the log."""

from __future__ import annotations

import hmac
import logging
import warnings
from base64 import b64encode
from typing import Any

import pytest
from flask import Flask

from frappe_hooksig import ConfigurationError, Secret, SecretWarning, providers, sign_payload
from frappe_hooksig._secret_checks import _log_once
from frappe_hooksig.integrations import fastapi, flask, frappe, starlette
from tests.receivers import Incoming, make_receiver, receive

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
QUOTED = f'"{SECRET}"'
BODY = b"{}"
VARIABLE = "FRAPPE_WEBHOOK_SECRET"


@pytest.fixture(autouse=True)
def _nothing_logged() -> None:
    """Forget what other tests have logged once."""
    _log_once.cache_clear()


def signature_of(secret: str) -> dict[str, str]:
    """Return the headers of a genuine request, without a word about the secret."""
    mac = hmac.digest(secret.encode(), BODY, "sha256")
    return {"X-Frappe-Webhook-Signature": b64encode(mac).decode()}


def post(app: Flask, secret: str = QUOTED) -> int:
    """Send a genuine request to an app; return the status."""
    headers = signature_of(secret)
    return app.test_client().post("/", data=BODY, headers=headers).status_code


def flask_app(**config: Any) -> Flask:
    """Return an app that reads the secret when a request comes."""
    app = Flask(__name__)
    app.config.update(config)
    app.post("/")(flask.verify_frappe_webhook(lambda: "received"))
    return app


@pytest.mark.parametrize("secret", [QUOTED, [SECRET, QUOTED]], ids=["one", "two"])
def test_setting_that_is_read_later(secret: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The warning names the setting, points to the line of the decorator, and is logged once."""
    app = flask_app(FRAPPE_WEBHOOK_SECRET=secret)
    with pytest.warns(SecretWarning) as caught:
        assert post(app) == 200
    app.config["FRAPPE_WEBHOOK_SECRET"] = [SECRET]
    assert post(app, SECRET) == 200
    app.config["FRAPPE_WEBHOOK_SECRET"] = secret
    with pytest.warns(SecretWarning):
        assert post(app) == 200

    (warning,) = caught
    assert f"app.config['{VARIABLE}']" in str(warning.message)
    assert "is in quotes, which are part of the key" in str(warning.message)
    assert warning.filename == __file__
    lines = [each.getMessage() for each in caplog.records if "quotes" in each.getMessage()]
    assert lines == [str(warning.message)]
    assert SECRET not in caplog.text


def test_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment has the secret, the variable is named."""
    app = flask_app()
    monkeypatch.setenv(VARIABLE, QUOTED)

    with pytest.warns(SecretWarning, match=f"the environment variable {VARIABLE} is in quotes"):
        assert post(app) == 200


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (QUOTED, "is in quotes, which are part of the key"),
        (SECRET + "\n", "starts or ends with white space"),
        ("", "is empty. Until it is mended, requests get HTTP 500"),
        ("*****", "is a row of asterisks or dots"),
    ],
)
@pytest.mark.parametrize(
    "decorate",
    [
        pytest.param(lambda: flask.verify_frappe_webhook(lambda: ""), id="flask"),
        pytest.param(lambda: starlette.verify_frappe_webhook(lambda _request: ""), id="starlette"),
        pytest.param(fastapi.FrappeWebhook, id="fastapi"),
    ],
)
def test_variable_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    decorate: Any,
    secret: str,
    words: str,
) -> None:
    """What is wrong in the environment is said when the app starts, before any request."""
    monkeypatch.setenv(VARIABLE, secret)

    with pytest.warns(SecretWarning) as caught:
        decorate()

    assert f"the environment variable {VARIABLE} {words}" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert words in caplog.text


def test_good_variable_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A good secret, or none yet, is no word worth."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flask.verify_frappe_webhook(lambda: "")
        monkeypatch.setenv(VARIABLE, SECRET)
        flask.verify_frappe_webhook(lambda: "")


def test_function() -> None:
    """Of a secret that a function returned, the function's argument is named."""
    receiver = make_receiver(providers.FRAPPE, secret=lambda _request: QUOTED)

    with pytest.warns(SecretWarning, match="what secret= returned for scheme 'frappe' is in quo"):
        receive(receiver, sign_payload(BODY, QUOTED))
    broken = make_receiver(providers.FRAPPE, secret=lambda _request: "")
    with pytest.raises(ConfigurationError, match=r"what secret= returned for .* is empty"):
        receive(broken, sign_payload(BODY, QUOTED))


def test_own_secret_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `Secret` is named by its variable or its id, whatever takes it."""
    monkeypatch.setenv("STRIPE_SECRET", SECRET)
    with pytest.warns(SecretWarning, match="the environment variable STRIPE_SECRET does not star"):
        make_receiver(providers.STRIPE, secret=Secret.from_env("STRIPE_SECRET"))
    with pytest.warns(SecretWarning, match="the secret 'new' does not start with whsec_"):
        make_receiver(providers.STRIPE, secret=Secret(SECRET, id="new"))


def test_unknown_sender(caplog: pytest.LogCaptureFixture) -> None:
    """Only the log says that a sender is unknown."""
    answers = []
    secrets: list[Any] = [None, [], "Kz5RtYb3Nc6Vf1Zq4Hs8Lm2W"]
    for secret in secrets:
        receiver = make_receiver(providers.FRAPPE, secret=lambda _request, found=secret: found)
        request = Incoming(sign_payload(BODY, SECRET).headers, BODY)
        with pytest.raises(Exception, match="does not match the body") as caught:
            receive(receiver, sign_payload(BODY, SECRET), who=request)
        answers.append(str(caught.value))

    assert len(set(answers)) == 1
    lines = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    said = ["secret= returned no secret for this sender" in line for line in lines]
    assert said == [True, True, False]


def test_reference_of_a_site(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Frappe, the key in site_config.json is named."""
    reference = frappe.site_config("webhook_secret")
    monkeypatch.setattr(type(reference), "__call__", lambda _self, _request: QUOTED)
    receiver = make_receiver(providers.FRAPPE, secret=reference)

    with pytest.warns(SecretWarning, match=r"^webhook_secret in site_config\.json is in quotes"):
        receive(receiver, Incoming(signature_of(QUOTED), BODY))
    assert SECRET not in frappe.site_config(SECRET).origin
