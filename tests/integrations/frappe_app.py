"""The whitelisted methods that test_frappe.py serves in a stand-in of Frappe, and calls.

`application` gives them the paths of a conformance app.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import frappe
from frappe.app import application as frappe_application
from werkzeug.wrappers import Request, Response

from frappe_hooksig import Secret, Verifier, providers
from frappe_hooksig.integrations.frappe import (
    CacheStore,
    enqueue_webhook,
    get_claim,
    get_delivery,
    password,
    site_config,
    verify_frappe_webhook,
    verify_webhook,
)
from frappe_hooksig.replay import Deduplicator, MemoryStore
from tests.integrations import conformance
from tests.integrations.conformance import EMPTY, LIMITED, METHODS, OLD, SECRET, Comparisons

SETTINGS = "Hook Settings"
_REST = "tests.rest_of_path"
_PATH = "tests.path"

comparisons = Comparisons()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve /<name>/<rest> as the whitelisted method of that name."""
    _, name, *rest = environ["PATH_INFO"].split("/")
    if name != "api":
        method = f"{__name__}.serve_{name.replace('-', '_')}"
        environ |= {_REST: rest, _PATH: environ["PATH_INFO"][1:]}
        environ["PATH_INFO"] = f"/api/method/{method}"
    if name in {"urls", "forwarded"}:  # whose host is a part of what is tested
        environ["HTTP_X_FRAPPE_SITE_NAME"] = "127.0.0.1"
    return frappe_application(environ, start_response)


def rest_of_path(request: Request) -> str:
    rest: list[str] = request.environ[_REST]
    return rest[0]


def answer(content: Any) -> Response:
    """Return JSON as it is, which Frappe would put under "message"."""
    return Response(json.dumps(content), mimetype="application/json")


def seen() -> Response:
    """Answer with what a method can see of a verified request."""
    return answer(conformance.seen(get_delivery(), frappe.local.request.get_data()))


def to_guests(function: Callable[..., Any]) -> Callable[..., Any]:
    return frappe.whitelist(allow_guest=True, methods=METHODS)(function)


def secrets(_request: Request) -> Any:
    return [Secret(SECRET, id="new"), OLD]


serve_frappe = to_guests(verify_frappe_webhook(secret=secrets)(seen))
serve_limited = to_guests(verify_frappe_webhook(secret=secrets, max_body=LIMITED)(seen))
serve_captures = to_guests(
    verify_frappe_webhook(
        secret=lambda request: conformance.secret_of_capture(int(rest_of_path(request)))
    )(seen)
)
OF_SENDERS = {
    path: verify_webhook(sender, **options)(seen)
    for path, (sender, options) in conformance.senders().items()
}


def serve_sender() -> Any:
    return OF_SENDERS[frappe.local.request.environ[_PATH]]()


serve_providers = to_guests(serve_sender)
serve_empty = serve_several = serve_one_of = serve_urls = serve_forwarded = serve_providers


@to_guests
@verify_frappe_webhook(secret=secrets)
def serve_json() -> Response:
    return answer({"json": get_delivery().json()})


@to_guests
@verify_frappe_webhook(secret=secrets)
def serve_form() -> Response:
    request = frappe.local.request
    files = {name: file.read().decode() for name, file in request.files.items()}
    return answer({"form": request.form.to_dict(), "files": files})


LOOKS: dict[str, Callable[[Request], object]] = {
    "data": lambda request: request.get_data(),
    "form": lambda request: request.form,
    "form-dict": lambda _request: dict(frappe.form_dict),
    "stream": lambda request: request.stream.read(),
    "input": lambda request: request.environ["wsgi.input"].read(),
}


@to_guests
def serve_after() -> Any:
    LOOKS[rest_of_path(frappe.local.request)](frappe.local.request)
    return serve_frappe()


@to_guests
@verify_frappe_webhook(secret=secrets)
def serve_boom() -> Any:
    msg = "the handler's own fault"
    raise ValueError(msg)


@to_guests
def serve_unverified() -> Any:
    return seen()


@to_guests
def serve_compared() -> Any:
    return answer({"count": comparisons.so_far()})


# Beyond conformance.

serve_bare = to_guests(verify_frappe_webhook(seen))
serve_dotted = to_guests(verify_webhook(providers.GITHUB, secret=site_config("hooks.github"))(seen))
serve_password = to_guests(
    verify_webhook(providers.GITHUB, secret=password(SETTINGS, "github"))(seen)
)
serve_passwords = to_guests(
    verify_webhook(providers.GITHUB, secret=password(SETTINGS, ("new", "old"), "named"))(seen)
)
serve_passwords_told = to_guests(
    verify_webhook(providers.GITHUB, secret=password(SETTINGS, ("new", "old"), "named"))(
        lambda: get_delivery().secret_id
    )
)
serve_verifier = to_guests(verify_webhook(Verifier(SECRET, scheme=providers.GITHUB))(seen))


@to_guests
@verify_frappe_webhook(secret=secrets)
def serve_arguments(*args: Any, **kwargs: Any) -> Response:
    return answer({"args": args, "kwargs": kwargs})


@to_guests
def serve_either() -> Any:
    """Try one after the other, which cannot be done."""
    first = serve_bare()
    return first if first.status_code == 200 else serve_frappe()


def counting_calls(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate as `frappe.rate_limiter.rate_limit` does."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        frappe.cache().incr("calls")
        return function(*args, **kwargs)

    return wrapper


@to_guests
@counting_calls
@verify_frappe_webhook(secret=secrets)
def serve_counted() -> Response:
    """Do what stands beneath a decorator of somebody else's."""
    return seen()


def note(what: str) -> None:
    frappe.db.sql("insert into noted values (%s)", what)


def secret_that_is_noted(_request: Request) -> Any:
    note("a secret was looked up")
    return secrets(_request)


@to_guests
@verify_frappe_webhook(secret=secret_that_is_noted)
def serve_noted() -> Any:
    note("a delivery came")
    return get_delivery().json()


def secret_that_breaks(_request: Request) -> Any:
    note("a secret was looked up")
    frappe.throw(f"not {SECRET}")


serve_broken = to_guests(verify_frappe_webhook(secret=secret_that_breaks)(seen))
serve_broken_empty = to_guests(verify_webhook(EMPTY, secret=secret_that_breaks)(seen))


def in_other_words(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def inner(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        if result.status_code in {400, 401, 413}:
            return Response(f"no: {result.json['reason']}", 403)
        return result

    return inner


serve_other_words = to_guests(in_other_words(verify_frappe_webhook(secret=secrets)(seen)))


STORE = MemoryStore()
ATTEMPTS = Counter[str]()


def fail() -> Any:
    msg = "told to fail"
    raise ValueError(msg)


def ends() -> Any:
    """Note what came, and end as it says: in some way at the first attempt, well at the next."""
    order = get_delivery().json()
    note(order["n"])
    time.sleep(order["takes"])
    ATTEMPTS[order["n"]] += 1
    if ATTEMPTS[order["n"]] == 1:
        if order["first"] == "raises":
            fail()
        if order["first"] == "commit fails":
            frappe.db.commit = fail  # type: ignore[method-assign]
        if order["first"] == "response":
            return Response(status=500)
        frappe.local.response["http_status_code"] = order["first"]
    return {"status": "handled"}


serve_events = to_guests(
    verify_webhook(
        providers.WOOCOMMERCE,
        secret=SECRET,
        unsigned_events=["order.created", "order.updated"],
        store=STORE,
    )(lambda: answer({"handled": get_delivery().unsigned_event}))
)
serve_once = to_guests(verify_frappe_webhook(store=Deduplicator(STORE, lease=1))(ends))
serve_cached = to_guests(verify_frappe_webhook(store=Deduplicator(CacheStore(), lease=1))(ends))
serve_once_too = to_guests(
    verify_frappe_webhook(store=Deduplicator(STORE, tenant=lambda request: request.args["tenant"]))(
        seen
    )
)


def secret_from_the_database(_request: Request) -> str:
    note("a secret was looked up")
    return SECRET


def in_transaction() -> dict[str, bool]:
    """Tell whether the transaction of the look-up is still open, and whether the claim holds."""
    return {
        "in_transaction": vars(frappe.db)["_connection"].in_transaction,
        "is_claimed": 0 < get_claim().seconds_left <= 4,
    }


serve_looked_up = to_guests(
    verify_frappe_webhook(
        secret=secret_from_the_database, store=Deduplicator(STORE, tenant=lambda _request: "one")
    )(in_transaction)
)


@to_guests
@verify_frappe_webhook(secret=secrets)
def serve_send() -> Any:
    """Send on what came in, and then do as it says."""
    order = get_delivery().json()
    scheme = providers.get(order["scheme"])
    enqueue_webhook(order["url"], order["payload"], site_config("sending"), scheme=scheme)
    if order["fails"]:
        msg = "after all, not"
        raise ValueError(msg)
    return {"status": "queued"}
