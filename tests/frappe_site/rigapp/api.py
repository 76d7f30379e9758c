"""The whitelisted methods of the recordings, written anew after what they answered."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import frappe
from werkzeug.exceptions import RequestEntityTooLarge, Unauthorized
from werkzeug.wrappers import Response

EVENT = "EVENT"


def seen(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return what a method can see of the request and of its arguments."""
    request = frappe.request
    body = request.get_data()
    stream_read_len = len(request.stream.read())  # before `form` puts another in its place
    files = {name: [file.filename, len(file.read())] for name, file in request.files.items()}
    return {
        "method": request.method,
        "content_type": request.content_type,
        "mimetype": request.mimetype,
        "is_json": request.is_json,
        "content_length_header": request.headers.get("Content-Length"),
        "transfer_encoding": request.headers.get("Transfer-Encoding"),
        "get_data_sha256": hashlib.sha256(body).hexdigest(),
        "get_data_len": len(body),
        "get_data_b64": b64encode(body).decode(),
        "request_data_b64": b64encode(request.data).decode(),
        "stream_read_len": stream_read_len,
        "request_form": request.form.to_dict(flat=False),
        "request_files": files,
        "request_args": request.args.to_dict(flat=False),
        "form_dict": dict(frappe.form_dict),
        "local_form_dict_is_form_dict": frappe.local.form_dict == frappe.form_dict,
        "args": list(args),
        "kwargs": kwargs,
        "user": frappe.session.user,
        "ip": frappe.local.request_ip,
        "max_content_length": request.max_content_length,
        "hdr_get_request_header": frappe.get_request_header("X-Frappe-Webhook-Signature"),
    }


@frappe.whitelist(allow_guest=True)
def ping() -> str:
    return "pong"


@frappe.whitelist(allow_guest=True)
def echo(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return seen(*args, **kwargs)


@frappe.whitelist(allow_guest=True, methods=["POST"])
def echo_post(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return seen(*args, **kwargs)


@frappe.whitelist(allow_guest=True, xss_safe=True)
def echo_xss_safe(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return seen(*args, **kwargs)


@frappe.whitelist()
def private_echo(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return seen(*args, **kwargs)


@frappe.whitelist(allow_guest=True)
def echo_noargs() -> dict[str, Any]:
    return seen()


@frappe.whitelist(allow_guest=True)
def echo_named(name=None, amount=None, data=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    types = [type(each).__name__ for each in (name, amount, data)]
    return seen(name=name, amount=amount, data=data, types=types)


@frappe.whitelist(allow_guest=True)
def echo_required(name, amount):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    return seen(name=name, amount=amount)


def typed(name: Any, amount: Any) -> dict[str, Any]:
    return seen(name=name, amount=amount)


# Not as text, as this module's `from __future__ import annotations` would have them.
typed.__annotations__ = {"name": str, "amount": int}
echo_typed = frappe.whitelist(allow_guest=True)(typed)


class Hook(Exception):
    http_status_code = 400


class Hook2(Exception):
    http_status_code = 413


ERRORS: dict[str, Exception] = {
    "custom": Hook("no"),
    "custom_plain": Hook2("no"),
    "disable_tb": frappe.AuthenticationError("no"),
    "value": ValueError("no"),
    "werkzeug_413": RequestEntityTooLarge(),
    "werkzeug_abort": Unauthorized(),
}
THROWN: dict[str, tuple[type[Exception], str | None]] = {
    "throw": (frappe.ValidationError, None),
    "throw_title": (frappe.ValidationError, "A title"),
    "throw_auth": (frappe.AuthenticationError, None),
    "throw_perm": (frappe.PermissionError, None),
}


@frappe.whitelist(allow_guest=True)
def fail(how: Any) -> Any:
    """Refuse in one of the ways there are; what is none of them is the name of an exception."""
    refusal = {"error": "invalid_signature"}
    if how == "http_status":
        frappe.local.response["http_status_code"] = 401
        return refusal
    if how == "http_status_msg":
        frappe.local.response.update({"http_status_code": 202, "accepted": True})
        return None
    if how == "response_obj":
        return Response(json.dumps(refusal), 401, mimetype="application/json")
    if how in THROWN:
        error, title = THROWN[how]
        frappe.throw("no", error, title)
    frappe.local.flags.disable_traceback = how == "disable_tb"
    raise ERRORS[how] if how in ERRORS else getattr(frappe, how)("no")


Function = Callable[..., Any]


def dec_wraps(fn: Function) -> Function:
    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        inner = dict(fn(*args, **kwargs))
        return {"via": "dec_wraps", "dec_args": [args, kwargs], "inner": inner}

    return wrapper


def dec_nowraps(fn: Function) -> Function:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return {"via": "dec_nowraps", "inner": fn(*args, **kwargs)}

    return wrapper


def dec_inject(fn: Function) -> Function:
    @functools.wraps(fn)
    def wrapper(**kwargs: Any) -> Any:
        return {"via": "dec_inject", "k": kwargs, "inner": fn(event=EVENT, **kwargs)}

    return wrapper


def dec_inject_sig(fn: Function) -> Function:
    """Inject an argument that is hidden by a signature of `**kwargs` alone."""

    @functools.wraps(fn)
    def wrapper(**kwargs: Any) -> Any:
        return {"via": "dec_inject_sig", "k": kwargs, "inner": fn(event=EVENT)}

    everything = inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)
    vars(wrapper)["__signature__"] = inspect.Signature([everything])
    return wrapper


def dec_inject_noarg(fn: Function) -> Function:
    """Inject an argument that is hidden by an empty signature."""

    @functools.wraps(fn)
    def wrapper() -> Any:
        return {"via": "dec_inject_noarg", "inner": fn(event=EVENT)}

    vars(wrapper)["__signature__"] = inspect.Signature()
    return wrapper


class CallableObj:
    def __init__(self, fn: Function) -> None:
        functools.update_wrapper(self, fn)

    def __call__(self, **kwargs: Any) -> Any:
        return {"via": "CallableObj", "k": kwargs}


def named(name=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    return {"name": name}


def injected(event):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    return {"event": event}


def injected_name(event, name=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    return {"event": event, "name": name}


def injected_typed(event: Any) -> Any:
    return {"event": event}


def typed_inner(name: Any, amount: Any) -> Any:
    return {"name": name, "amount": amount, "t": type(amount).__name__}


async def asynchronous() -> str:
    return "done"


injected_typed.__annotations__ = {"event": dict}
typed_inner.__annotations__ = {"name": str, "amount": int}

guests = frappe.whitelist(allow_guest=True)
d_outer_whitelist = guests(dec_wraps(named))
d_inner_whitelist = dec_wraps(guests(named))
d_nowraps = guests(dec_nowraps(named))
d_inject = guests(dec_inject(injected))
d_inject_name = guests(dec_inject(injected_name))
d_inject_sig = guests(dec_inject_sig(injected))
d_inject_noarg = guests(dec_inject_noarg(injected))
d_inject_typed = guests(dec_inject(injected_typed))
d_typed_wrapped = guests(dec_wraps(typed_inner))
a_async = guests(asynchronous)
d_async = guests(dec_wraps(asynchronous))
callable_obj = guests(CallableObj(ping))


@frappe.whitelist(allow_guest=True)
def cache_probe() -> dict[str, Any]:
    cache = frappe.cache()
    key = cache.make_key("rig:nonce:1")
    first, second = (cache.set(key, b"1", nx=True, ex=30) for _ in range(2))
    cache.set("rig:unprefixed", b"1", ex=30)
    cache.set_value("rig:value", {"a": 1}, expires_in_sec=30)
    settings = ("maxmemory", "maxmemory-policy", "save", "appendonly")
    return {
        "type": type(cache).__name__,
        "frappe_cache_callable": callable(frappe.cache),
        "make_key": repr(key),
        "make_key_shared": repr(cache.make_key("rig:nonce:1", shared=True)),
        "make_key_user": repr(cache.make_key("rig:nonce:1", user="a@b.c")),
        "set_nx_first": first,
        "set_nx_second": second,
        "ttl": cache.ttl(key),
        "raw_get": repr(cache.get(key)),
        "exists_prefixed": cache.exists("rig:nonce:1"),
        "unprefixed_visible_as": repr(cache.keys("*rig:unprefixed")),
        "set_value_ttl": cache.ttl(cache.make_key("rig:value")),
        "set_value_raw": repr(cache.get(cache.make_key("rig:value")))[:60],
        "get_value": cache.get_value("rig:value"),
        "get_keys": repr(cache.get_keys("rig:absent")),
        "persisted?": {name: cache.config_get(name) for name in settings},
    }


@frappe.whitelist(allow_guest=True)
def secrets_probe() -> dict[str, Any]:
    return {
        "conf_get": frappe.conf.get("webhook_secret"),
        "conf_type": type(frappe.conf).__name__,
        "local_conf_is_conf": frappe.local.conf == frappe.conf,
        "missing": frappe.conf.get("no_such_secret"),
        "attr_missing": frappe.conf.no_such_secret,
        "dict_secret": frappe.conf.webhook_secrets,
    }
